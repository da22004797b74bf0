"""Bad input and what cannot be written: exit code 2, one sentence, and nothing is changed."""

import errno
import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest

from modelexport.rewriter import AnnotateReport
from tests.helpers.commands import Run, run_python
from tests.helpers.handmade import two_layers

pytestmark = pytest.mark.usefixtures("working_folder")


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


def test_a_disk_that_takes_no_more_leaves_nothing_behind(folder: Path) -> None:
    """Writing fails half way: the user gets one sentence, and no new file is left."""
    before = sorted(folder.iterdir())
    arguments = ["annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "out.onnx"]
    ran = run_python("-c", LIMITED, *arguments, cwd=folder)
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
    folder: Path, annotated: Path, run: Run, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence that names the file, and nothing written."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        for path in folder.iterdir():
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
