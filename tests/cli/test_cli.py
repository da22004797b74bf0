"""The commands as users see them: results, exit codes, and one sentence for every error."""

import csv
import errno
import io
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.rewriter import AnnotateReport, analyze
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers

pytestmark = pytest.mark.usefixtures("working_folder")


@pytest.fixture
def folder(plain: Path, plain_record: Path) -> Path:
    """A folder with a plain file and its record."""
    assert plain.parent == plain_record.parent
    return plain.parent


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


def _damage(folder: Path) -> None:
    plain = (folder / "plain.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(plain[: len(plain) * 2 // 3])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("this is no model\n" * 20)
    onnx.save(two_layers(8), folder / "other.onnx")
    record = (folder / "plain.trace.json").read_bytes()
    (folder / "new.json").write_bytes(record.replace(b'"version":1', b'"version":7', 1))
    (folder / "cut.json").write_bytes(record[:500])
    (folder / "exists.onnx").write_bytes(b"not ours")


BAD = {
    "missing file": ("nowhere.onnx plain.trace.json out.onnx", "nowhere.onnx"),
    "truncated": ("cut.onnx plain.trace.json out.onnx", "cut.onnx"),
    "empty": ("empty.onnx plain.trace.json out.onnx", "empty.onnx"),
    "text": ("text.onnx plain.trace.json out.onnx", "text.onnx"),
    "a folder": (". plain.trace.json out.onnx", "."),
    "other model": ("other.onnx plain.trace.json out.onnx", "another model"),
    "missing record": ("plain.onnx nowhere.json out.onnx", "nowhere.json"),
    "newer record": ("plain.onnx new.json out.onnx", "version 7"),
    "damaged record": ("plain.onnx cut.json out.onnx", "cut.json"),
    "record is a model": ("plain.onnx plain.onnx out.onnx", "not a trace record"),
    "output exists": ("plain.onnx plain.trace.json exists.onnx", "exists.onnx"),
    "output is input": ("plain.onnx plain.trace.json plain.onnx", "plain.onnx"),
    "output is input, forced": ("plain.onnx plain.trace.json plain.onnx --force", "plain.onnx"),
    "output is record": ("plain.onnx plain.trace.json plain.trace.json --force", "plain.trace"),
    "no such folder": ("plain.onnx plain.trace.json none/out.onnx", "none"),
    "folder is a file": ("plain.onnx plain.trace.json exists.onnx/out.onnx", "exists.onnx"),
    "report exists": (
        "plain.onnx plain.trace.json out.onnx --report exists.onnx",
        "exists.onnx",
    ),
    "report is output": ("plain.onnx plain.trace.json out.onnx --report out.onnx", "out.onnx"),
    "report has no folder": (
        "plain.onnx plain.trace.json out.onnx --report none/r.json",
        "none",
    ),
    "bad choice": ("plain.onnx plain.trace.json out.onnx --tag-style odd", "odd"),
    "bad option": ("plain.onnx plain.trace.json out.onnx --odd", "--odd"),
}


@pytest.mark.parametrize(("arguments", "named"), BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_sentence(folder: Path, run: Run, arguments: str, named: str) -> None:
    """Exit code 2, one line that names the file, and no file is changed."""
    _damage(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model, record, out, *rest = arguments.split()
    code, printed, err = run("annotate", model, "--record", record, "-o", out, *rest)
    assert (code, printed) == (2, "")
    assert err.count("\n") == 1
    assert named in err
    assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("command", ["analyze", "validate", "strip"])
@pytest.mark.parametrize("name", ["nowhere.onnx", "cut.onnx", "empty.onnx", "text.onnx", "."])
def test_every_command_refuses_what_is_no_model(
    folder: Path, run: Run, command: str, name: str
) -> None:
    """A file that is not a readable model is bad input for all of them."""
    _damage(folder)
    output = ["-o", "out.onnx"] if command == "strip" else []
    code, _, err = run(command, name, *output)
    assert code == 2
    assert err.count("\n") == 1
    assert name in err
    assert not (folder / "out.onnx").exists()


LIMITED = """
import resource, sys
from modelexport.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
main(sys.argv[1:])
"""


def _script(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_disk_that_takes_no_more_leaves_nothing_behind(folder: Path) -> None:
    """Writing fails half way: the user gets one sentence, and no new file is left."""
    before = sorted(folder.iterdir())
    arguments = ["annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "out.onnx"]
    ran = _script(folder, "-c", LIMITED, *arguments)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert "out.onnx" in ran.stderr
    assert sorted(folder.iterdir()) == before


def test_no_output_is_left_when_its_report_fails(folder: Path, run: Run) -> None:
    """The report of a run is part of it: both files are written, or none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(folder.iterdir())
    arguments = ["annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "out.onnx"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AnnotateReport, "to_json", refuse)
        code, _, err = run(*arguments, "--report", "r.json")
    assert code == 2
    assert "r.json: cannot be written (the disk is full)" in err
    assert sorted(folder.iterdir()) == before


@contextmanager
def _ordinary_user() -> Iterator[None]:
    """Root can write everywhere, so the process becomes the user `nobody` in the meantime."""
    if os.geteuid() != 0:
        yield
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("command", ["annotate", "strip"])
def test_an_unwritable_folder_is_bad_input(
    annotated: Path, run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that names the file, and nothing written."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for path in annotated.parent.iterdir():
            (place / path.name).write_bytes(path.read_bytes())
        (place / "closed").mkdir(mode=0o555)
        monkeypatch.chdir(place)
        before = sorted(place.rglob("*"))
        record = ["--record", "plain.trace.json"] if command == "annotate" else []
        with _ordinary_user():
            code, out, err = run(command, "a.onnx", *record, "-o", "closed/out.onnx")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "closed/out.onnx" in err
        assert "permission denied" in err
        assert sorted(place.rglob("*")) == before
        monkeypatch.chdir(annotated.parent)


def test_the_command_runs_as_a_module(folder: Path) -> None:
    """`python -m modelexport` is the command; its errors go to standard error."""
    version = _script(folder, "-m", "modelexport", "--version")
    assert (version.returncode, version.stdout.split()[0]) == (0, "modelexport")
    failed = _script(folder, "-m", "modelexport", "analyze", "nowhere.onnx")
    assert (failed.returncode, failed.stdout) == (2, "")
    verbose = _script(folder, "-m", "modelexport", "--verbose", "analyze", "nowhere.onnx")
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
