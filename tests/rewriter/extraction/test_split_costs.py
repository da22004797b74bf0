"""Parts of equal time, and the assignments that Olive's SplitModel reads."""

import json
from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.rewriter import annotate, split
from modelexport.rewriter.annotation.placed_file import PlacedFile
from tests.helpers.commands import Run
from tests.helpers.handmade import layers
from tests.helpers.traced import TracedModels


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A chain of equal layers."""
    model, record = layers(*["Relu"] * 8)
    onnx.save(model, tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", record, tmp_path / "chain.onnx")
    return tmp_path / "chain.onnx"


def _slow_profile(run: Run, path: Path, slow: str) -> Path:
    """A profile of the file in which one module takes nearly all time."""
    ran = run("profile", path, "--runs", "1", "--warmup", "0", "--output-format", "json")
    assert ran.code == 0
    profile = json.loads(ran.out)
    for module in profile["modules"]:
        module["self_time"] = 1e6 if module["path"] == slow else 1.0
    stored = path.with_name("profile.json")
    stored.write_text(json.dumps(profile))
    return stored


def test_times_of_a_profile_are_balanced(run: Run, chain: Path, tmp_path: Path) -> None:
    """A slow layer fills a part of its own; the manifest has the shares."""
    with PlacedFile.open(chain) as file:
        modules = [m for m in dict.fromkeys(file.modules) if m]
        slow = modules[-1]
        last = file.tagger.tag(slow)
    stored = _slow_profile(run, chain, slow)
    folder = tmp_path / "parts"
    ran = run(
        *("split", chain, "--parts", "2", "--balance", "time", "--profile", stored),
        *("-o", folder, "--check"),
    )
    assert ran.code == 0, ran.err
    manifest = json.loads((folder / "manifest.json").read_bytes())
    shares = [part["share"] for part in manifest["parts"]]
    assert manifest["balance"] == "time"
    assert sum(shares) == pytest.approx(1)
    assert shares[1] > 0.9
    assert manifest["parts"][1]["tags"] == [last]
    plain = split(chain, tmp_path / "macs", 2)
    assert len(plain.parts[0].tags) < len(manifest["parts"][0]["tags"])


def test_the_file_is_profiled_where_no_profile_is_given(chain: Path, tmp_path: Path) -> None:
    """Each part has a share of the measured time."""
    result = split(chain, tmp_path / "parts", 2, balance="time", check=True)
    assert result.equal
    shares = [part.share or 0.0 for part in result.parts]
    assert (len(shares), sum(shares)) == (2, pytest.approx(1))
    assert min(shares) > 0


def test_a_profile_of_another_file_is_refused(run: Run, chain: Path, tmp_path: Path) -> None:
    """As is one without --balance time, and what is no profile."""
    stored = _slow_profile(run, chain, "")
    (tmp_path / "other.onnx").write_bytes(chain.read_bytes())
    with pytest.raises(UsageError, match=r"profile of chain.onnx, not of other.onnx"):
        split(tmp_path / "other.onnx", tmp_path / "p", 2, balance="time", profile=stored)
    line = ("split", chain, "--parts", "2", "-o", tmp_path / "p", "--profile", stored)
    assert (run(*line).code, run(*line, "--balance", "time").code) == (2, 0)
    stored.write_text("[]")
    assert run(*line, "--balance", "time", "--force").code == 2
    assert run(*line[:-2], "--balance", "time", "--no-run", "--force").code == 2


def _olive_parts(model: onnx.ModelProto) -> dict[str, int]:
    """The part of each node, by the rule of Olive's SplitModel."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    pairs = (item.split("=") for item in metadata["split_assignments"].split(";"))
    assignments = {key: int(value) for key, value in pairs}
    depth = len(next(iter(assignments)).split("."))
    parts = {}
    for node in model.graph.node:
        steps = node.name.replace("/", ".").lstrip(".").split(".")
        name = ".".join(steps[:depth])
        if node.op_type != "Constant" and name in assignments:
            parts[node.name] = assignments[name]
    return parts


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("named", [False, True], ids=["names of the exporter", "names by module"])
def test_olive_gets_the_parts(
    traced: TracedModels, tmp_path: Path, count: int, *, named: bool
) -> None:
    """Every node is in the part that split puts it in, and each value that crosses has a type."""
    done = traced("bert", "dynamo")
    inject = ["metadata", "names"] if named else ["metadata"]
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx", inject=inject)
    result = split(tmp_path / "a.onnx", tmp_path / "p", count, assignments=True)
    model = onnx.load(tmp_path / "p" / "assigned.onnx")
    parts = _olive_parts(model)
    expected: dict[str, int] = {}
    for number, part in enumerate(result.parts):
        for node in onnx.load(tmp_path / "p" / part.file).graph.node:
            if node.op_type != "Constant":
                expected.setdefault(node.name, number)
    assert parts == expected
    typed = {value.name for value in (*model.graph.value_info, *model.graph.input)}
    assert {name for part in result.parts for name in part.inputs} <= typed
    assert result.assignments
    if named:
        assert len(result.assignments.split(";")) < len(parts)


def test_nodes_without_names_cannot_be_assigned(chain: Path, tmp_path: Path) -> None:
    """The error says what gives them names; nothing is written."""
    model = onnx.load(chain)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, tmp_path / "unnamed.onnx")
    with pytest.raises(UsageError, match="--inject names"):
        split(tmp_path / "unnamed.onnx", tmp_path / "p", 2, assignments=True)
    assert not (tmp_path / "p").exists()
