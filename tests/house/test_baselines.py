"""`python -m fixtures_gen` writes the reference data of a model."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import onnx
import pytest

from agreement.judging import Verdict, judge
from fixtures_gen.__main__ import main
from fixtures_gen.baseline import Baseline, write_baseline
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.record import read_record
from modelexport.rewriter import annotate
from tests.helpers.commands import ROOT, environment

SOURCE = "fixtures_gen.unexpected.calls:called_in_a_loop"
NAMES = {"model.onnx", "model.trace.json", "model.annotated.onnx", "baseline.json"}


def generate(source: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as a developer does."""
    return subprocess.run(
        [sys.executable, "-m", "fixtures_gen", "--model", source, "--output-dir", folder],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the reference data of a model."""
    folder = tmp_path_factory.mktemp("baseline")
    done = generate(SOURCE, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def baseline(folder: Path) -> Baseline:
    """What stands in its JSON file."""
    return msgspec.json.decode((folder / "baseline.json").read_bytes(), type=Baseline)


def test_all_files_are_there(folder: Path, baseline: Baseline) -> None:
    """The statistics are those of the annotated file."""
    assert {path.name for path in folder.iterdir()} == NAMES
    tags = Counter(
        entry.value
        for _, node in walk_nodes(onnx.load(folder / "model.annotated.onnx"))
        for entry in node.metadata_props
        if entry.key == keys.TAG
    )
    assert baseline.nodes_by_tag == tags
    assert sum(baseline.nodes_by_evidence.values()) == tags.total()
    assert baseline.versions["torch"].startswith(onnx_producer_version(folder))


def onnx_producer_version(folder: Path) -> str:
    """The version of torch that the plain file names."""
    return onnx.load(folder / "model.onnx").producer_version.partition("+")[0]


def test_the_truth_is_that_of_the_file(folder: Path, baseline: Baseline) -> None:
    """There is an entry for each node, and annotating agrees with all that is known."""
    nodes = list(walk_nodes(onnx.load(folder / "model.onnx")))
    assert [(NodeKey(n.graph, n.position), n.op_type) for n in baseline.truth] == [
        (key, node.op_type) for key, node in nodes
    ]
    record = read_record(folder / "model.trace.json")
    decisions = annotate(folder / "model.onnx", record, None).decisions
    verdicts = [
        judge(known.modules, decision.module, decision.covers, record.tree)
        for known, decision in zip(baseline.truth, decisions, strict=True)
        if known.modules
    ]
    assert verdicts
    assert set(verdicts) == {Verdict.EXACT}
    silent = [node for node in baseline.truth if not node.modules and node.unknown is None]
    assert silent == []


def test_it_is_the_same_when_it_is_made_again(tmp_path: Path, baseline: Baseline) -> None:
    """Truth and tags depend on the model alone."""
    assert write_baseline(SOURCE, tmp_path) == baseline


def test_a_source_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2."""
    arguments = ["fixtures_gen", "--model", "nowhere:nothing", "--output-dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert main() == 2
    message = capsys.readouterr().err
    assert "nowhere" in message
    assert message.count("\n") == 1
