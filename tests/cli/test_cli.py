"""The commands as users see them: what they write, what they print, and their exit codes."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.rewriter import analyze
from tests.helpers.commands import Run, run_python
from tests.helpers.handmade import two_layers

pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture
def annotated(folder: Path, run: Run) -> Path:
    """The annotated file."""
    code, _, err = run("annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "a.onnx")
    assert (code, err) == (0, "")
    return folder / "a.onnx"


def tags(path: Path) -> list[str | None]:
    nodes = onnx.load(path).graph.node
    metadata = [{entry.key: entry.value for entry in node.metadata_props} for node in nodes]
    return [entries.get(keys.TAG) for entries in metadata]


def test_annotate_says_what_it_did(folder: Path, run: Run) -> None:
    """One line with counts by evidence; every node has a tag afterwards."""
    code, out, err = run(
        "annotate",
        "plain.onnx",
        "--record",
        "plain.trace.json",
        "-o",
        "a.onnx",
        "--report",
        "r.json",
    )
    report = json.loads((folder / "r.json").read_text())
    assert (code, err) == (0, "")
    assert f"{report['nodes']} of {report['nodes']} nodes tagged" in out
    assert tags(folder / "a.onnx") == [d["tag"] for d in report["decisions"]]
    assert None not in tags(folder / "a.onnx")


def test_strip_gives_back_the_bytes(annotated: Path, folder: Path, run: Run) -> None:
    """What annotate added is gone to the byte."""
    code, out, _ = run("strip", annotated, "-o", "back.onnx")
    assert code == 0
    assert "back.onnx" in out
    assert (folder / "back.onnx").read_bytes() == (folder / "plain.onnx").read_bytes()


def test_annotating_again_changes_nothing(annotated: Path, folder: Path, run: Run) -> None:
    """An annotated file, annotated with the record or with what it carries, is the same."""
    run("annotate", annotated, "--record", "plain.trace.json", "-o", "b.onnx")
    run("annotate", annotated, "-o", "c.onnx")
    assert (folder / "b.onnx").read_bytes() == annotated.read_bytes()
    assert (folder / "c.onnx").read_bytes() == annotated.read_bytes()


@pytest.mark.parametrize(
    ("options", "tag"),
    [
        ([], "/Net/layer.0/fc"),
        (["--tag-style", "class"], "/Net/Block.0/Linear"),
        (["--torch-nn", "roll-up"], "/Net/layer.0"),
        (["--depth", "1"], "/Net/layer.0"),
        (["--depth", "0"], "/Net"),
    ],
)
def test_tags_follow_the_options(folder: Path, run: Run, options: list[str], tag: str) -> None:
    """Style, roll-up and depth decide how the module of a node is written."""
    run("annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "a.onnx", *options)
    assert tags(folder / "a.onnx")[1] == tag
    assert run("validate", "a.onnx")[0] == 0


def test_other_options_than_the_file_was_written_with_need_the_record(
    folder: Path, run: Run
) -> None:
    """Tags that lost what other options need are not guessed from."""
    first = ["annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "a.onnx"]
    run(*first, "--tag-style", "class")
    code, _, err = run("annotate", "a.onnx", "-o", "b.onnx")
    assert code == 2
    assert "--record" in err
    assert not (folder / "b.onnx").exists()


def test_torch_keys_are_lists_as_torch_writes_them(folder: Path, run: Run) -> None:
    """Scopes from the root down and the op last; classes with their python modules."""
    record = ["--record", "plain.trace.json"]
    run("annotate", "plain.onnx", *record, "-o", "a.onnx", "--torch-keys")
    node = onnx.load(folder / "a.onnx").graph.node[1]
    entry = {e.key: e.value for e in node.metadata_props}
    scopes = ["", "layer.0", "layer.0.fc", node.name]
    assert entry[keys.TORCH_NAME_SCOPES] == repr(scopes)
    classes = ["handmade.Net", "handmade.Block", "torch.nn.modules.linear.Linear", node.op_type]
    assert entry[keys.TORCH_CLASS_HIERARCHY] == repr(classes)


def test_strict_exits_with_one_when_nodes_are_open(folder: Path, run: Run) -> None:
    """An unresolved node is reported with its reason, and counts under --strict only."""
    model = two_layers()
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["x"], ["new"], name="new"))
    onnx.save(model, folder / "more.onnx")
    arguments = ["annotate", "more.onnx", "--record", "plain.trace.json", "-o", "a.onnx"]
    code, out, _ = run(*arguments)
    assert (code, "1 unresolved" in out) == (0, True)
    assert run(*arguments, "--force", "--strict")[0] == 1


def test_analyze_shows_every_module(annotated: Path, run: Run) -> None:
    """Every format has every module."""
    rows = analyze(annotated).modules
    assert rows
    for kind in ("tree", "table", "json", "csv"):
        code, out, _ = run("analyze", annotated, "--output-format", kind)
        assert code == 0
        assert all(row.tag.rpartition("/")[2] in out for row in rows)
        assert "\x1b" not in out
    parsed = list(
        csv.DictReader(io.StringIO(run("analyze", annotated, "--output-format", "csv")[1]))
    )
    assert [(r["tag"], int(r["nodes"])) for r in parsed] == [(r.tag, r.nodes) for r in rows]
    data = json.loads(run("analyze", annotated, "--output-format", "json")[1])
    assert [r["tag"] for r in data["modules"]] == [r.tag for r in rows]
    assert run("analyze", annotated)[1].startswith("Net")
    assert "tagged" in run("analyze", annotated, "--output-format", "summary")[1]


def test_validate_answers_with_its_exit_code(annotated: Path, run: Run) -> None:
    """0 for a good file, 1 for a file with faults; both as text and as data."""
    options = ["--record", "plain.trace.json", "--reference", "plain.onnx", "--check-consistency"]
    assert run("validate", annotated, *options)[0] == 0
    code, out, _ = run("validate", "plain.onnx", "--output-format", "json")
    assert code == 1
    assert json.loads(out)["faults"]
    assert "no node carries a tag" in run("validate", "plain.onnx")[1]


def test_quiet_prints_nothing_but_results(folder: Path, run: Run) -> None:
    """--quiet silences what a command did."""
    arguments = ["annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "a.onnx"]
    assert run("--quiet", *arguments) == (0, "", "")
    assert (folder / "a.onnx").exists()


def test_the_command_runs_as_a_module(folder: Path) -> None:
    """`python -m modelexport` is the command; its errors go to standard error."""
    version = run_python("-m", "modelexport", "--version", cwd=folder)
    assert (version.returncode, version.stdout.split()[0]) == (0, "modelexport")
    failed = run_python("-m", "modelexport", "analyze", "nowhere.onnx", cwd=folder)
    assert (failed.returncode, failed.stdout) == (2, "")
    verbose = run_python("-m", "modelexport", "--verbose", "analyze", "nowhere.onnx", cwd=folder)
    assert "Traceback" in verbose.stderr


def test_a_reader_that_goes_away_is_no_error(annotated: Path) -> None:
    """`analyze | head` ends quietly."""
    code = "import sys; from modelexport.cli.main import main; main(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, "analyze", str(annotated)],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as piped:
        assert piped.stdout is not None
        assert piped.stderr is not None
        piped.stdout.close()
        errors = piped.stderr.read()
    assert (piped.returncode, errors) == (0, b"")
