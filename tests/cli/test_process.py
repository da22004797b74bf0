"""A command ends in one sentence and the right code, however its process is started and ended."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modelexport.rewriter import analyze
from tests.helpers.commands import Run, environment

FULL = "standard output cannot be written (no space"
STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

WRITING = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's own parent may ignore it
import importlib
from modelexport.support.files import atomic_replacement

def work(**_):
    with atomic_replacement(Path("out")) as part:
        part.write_text("half")
        print("writing", flush=True)
        time.sleep(60)

cli = importlib.import_module("modelexport.cli.main")
cli.app = work
cli.main([])
"""


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `modelexport` in a shell, which opens and closes its standard streams."""
    line = command.replace("modelexport", f"{sys.executable} -m modelexport")
    env = environment(**variables)
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("number", STOPPED)
def test_signals_leave_no_files(tmp_path: Path, number: signal.Signals) -> None:
    """Each signal that asks to end takes the unfinished file away, and has its own code."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITING],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (STOPPED[number], "modelexport: stopped.\n")
    assert list(tmp_path.iterdir()) == []


INTERRUPTED = """
import importlib, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
cli = importlib.import_module("modelexport.cli.main")
analyze = importlib.import_module("modelexport.cli.analyze")

def disturb(*_, **__):
    try:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
        raise AssertionError("no signal")
    except BaseException as error:
        if sys.argv[2] == "as it is":
            raise
        raise ImportError("initialization failed") from error

sys.modules["modelexport"].__dict__["analyze"] = disturb
cli.main(["analyze", "a.onnx"])
"""


@pytest.mark.parametrize(
    ("number", "arriving"),
    [
        (signal.SIGINT, "as it is"),
        (signal.SIGINT, "as an error of an import"),
        (signal.SIGTERM, "as an error of an import"),
    ],
)
def test_a_stopped_command_says_so(tmp_path: Path, number: signal.Signals, arriving: str) -> None:
    """Also when the library of commands, or an import, makes another error of the signal's."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, number.name, arriving],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (STOPPED[number], "modelexport: stopped.\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("modelexport analyze a.onnx >/dev/full", FULL),
        ("modelexport analyze a.onnx --output-format csv >/dev/full", FULL),
        ("modelexport select a.onnx --module layer >/dev/full", FULL),
        ("modelexport report a.onnx -o - >/dev/full", FULL),
        ("modelexport analyze a.onnx --output-format json >&-", "standard output"),
        ("modelexport analyze - <&-", "standard input"),
        ("modelexport strip a.onnx -o - >/dev/full", FULL),
        ("TMPDIR=/nowhere/at/all modelexport analyze - </dev/null", "empty"),
    ],
)
def test_streams_that_cannot_be_used(annotated: Path, command: str, words: str) -> None:
    """A full or closed stream is one sentence and code 2."""
    done = shell(command, annotated.parent)
    assert done.returncode == 2, done.stderr
    line = done.stderr.removesuffix("\n")
    assert "\n" not in line, done.stderr
    assert line.startswith("modelexport: ")
    assert words in line.lower()
    assert "unexpected" not in line


def test_a_closed_standard_error_changes_nothing(annotated: Path) -> None:
    """The result comes, and the code."""
    done = shell("modelexport analyze a.onnx 2>&-", annotated.parent)
    assert done.returncode == 0
    assert done.stdout == shell("modelexport analyze a.onnx", annotated.parent).stdout


@pytest.mark.parametrize("kind", ["tree", "table", "markdown", "csv"])
def test_other_encodings(annotated: Path, kind: str) -> None:
    """Characters that a stream's encoding does not have are escapes, not an error."""
    (annotated.parent / "ünï.onnx").write_bytes(annotated.read_bytes())
    command = f"modelexport analyze ünï.onnx --output-format {kind}"
    done = shell(command, annotated.parent, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert done.returncode == 0
    assert (done.stdout + done.stderr).isascii()
    notes = analyze(annotated).notes
    assert done.stderr.splitlines() == [f"\\xfcn\\xef.onnx: note: {note}" for note in notes]


def test_little_memory_is_one_sentence(annotated: Path) -> None:
    """A process that may not have the memory ends in a sentence."""
    file = annotated.parent / "large.onnx"
    file.write_bytes(annotated.read_bytes())
    os.truncate(file, 1 << 40)
    done = shell("ulimit -v 4000000; modelexport analyze large.onnx", annotated.parent)
    assert done.returncode == 2, done.stderr
    assert "not enough memory" in done.stderr


def test_no_data_about_its_use_is_kept_or_sent(annotated: Path, tmp_path: Path) -> None:
    """Onnxruntime writes nothing into the user's folders; its own setting may be changed."""
    homes = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    for home in homes.values():
        Path(home).mkdir()
    ran = shell(f"modelexport validate {annotated.name}", annotated.parent, **homes)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [entry for home in homes.values() for entry in Path(home).iterdir()] == []


def test_a_full_folder_for_temporary_files_is_named(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    """What onnxruntime cannot write is no fault of the model."""
    small = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: small)
    monkeypatch.setattr("onnxruntime.InferenceSession", _no_room)
    monkeypatch.setattr("modelexport.rewriter.profiling.measured_profile.choose_feeds", _no_feeds)
    ran = run("profile", annotated, "--runs", "1", "--warmup", "0")
    assert ran.code == 2
    assert "temporary files" in ran.err


def _no_feeds(*_: object) -> tuple[dict[str, object], tuple[str, ...]]:
    return {}, ()


def _no_room(*_: object, **__: object) -> None:
    raise RuntimeError("Protobuf serialization failed.")
