"""Output: which stream results, notes, progress and errors go to, and when they are shown."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import onnx
import pytest

from modelexport.rewriter import AnnotateReport, annotate
from modelexport.support.progress import reporting_steps_to
from tests.helpers.commands import ROOT, CommandResult, Run, modelexport
from tests.helpers.handmade import two_layers_record

SLOW = """
import time
import torch

def build():
    time.sleep(1.5)
    return torch.nn.Linear(2, 2), (torch.zeros(1, 2),)

def refuse():
    build()
    raise ValueError("no model")
"""
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?[349][0-7](?:;[0-9;]*)?m")


@pytest.fixture
def folder(annotated: Path, plain_record: Path) -> Path:
    """A folder with a plain file, its record, and the annotated file."""
    assert annotated.parent == plain_record.parent
    return annotated.parent


def in_a_terminal(*arguments: str, cwd: Path, code: int = 0, **environment: str) -> str:
    """What the command writes to a terminal, standard error included."""
    leader, follower = pty.openpty()
    usual = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "modelexport", *arguments],
        cwd=cwd,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**usual, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment},
    ) as process:
        os.close(follower)
        output = b""
        while True:
            try:
                read = os.read(leader, 4096)
            except OSError:  # Linux: the other end is closed
                break
            if not read:
                break
            output += read
    os.close(leader)
    assert process.returncode == code, output.decode()
    return output.decode()


def annotated(folder: Path, *options: str, stdin: bytes = b"", **environment: str) -> CommandResult:
    command = ("annotate", "plain.onnx", "-o", "b.onnx", *options)
    return modelexport(*command, cwd=folder, stdin=stdin, **environment)


def test_annotating_tells_its_steps(folder: Path) -> None:
    """Reading, matching and writing, in this order."""
    heard: list[str] = []
    with reporting_steps_to(heard.append):
        annotate(folder / "plain.onnx", two_layers_record(), folder / "b.onnx")
    assert heard == ["reading plain.onnx", "matching", "writing"]


def test_progress_is_for_terminals(tmp_path: Path) -> None:
    """A command that takes more than a second shows its step in a terminal, if not told --quiet."""
    (tmp_path / "slow.py").write_text(SLOW)
    command = ("export", "slow.py:build", "m.onnx", "--exporter", "torchscript")
    output = in_a_terminal(*command, cwd=tmp_path)
    assert "loading slow.py:build" in output
    assert "nodes tagged" in ESCAPE.sub("", output).splitlines()[-1]
    refused = ("export", "slow.py:refuse", "n.onnx", "--quiet")
    quiet = in_a_terminal(*refused, cwd=tmp_path, code=2)
    (line,) = quiet.splitlines()
    assert "no model" in line


def test_no_color_is_respected(folder: Path) -> None:
    """A terminal gets colours, unless NO_COLOR is set; a pipe gets none."""
    assert COLOUR.search(in_a_terminal("analyze", "a.onnx", cwd=folder))
    assert not COLOUR.search(in_a_terminal("analyze", "a.onnx", cwd=folder, NO_COLOR="1"))
    assert not ESCAPE.search(modelexport("analyze", "a.onnx", cwd=folder).out)


def test_data_is_alone_on_standard_output(folder: Path) -> None:
    """It can be parsed, and nothing else is printed."""
    for command in (
        ("analyze", "a.onnx"),
        ("validate", "a.onnx"),
        ("annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "b.onnx"),
        ("annotate", "plain.onnx", "--record", "plain.trace.json", "--explain", "#3"),
        ("doctor",),
    ):
        ran = modelexport(*command, "--output-format", "json", cwd=folder)
        assert (ran.code, ran.err) == (0, "")
        assert json.loads(ran.out)


def test_a_pipe_gets_no_progress_and_nothing_that_a_model_prints(
    working_folder: Path, run_with_libraries: Run
) -> None:
    """Standard output has only the command's result, even when the user's code prints."""
    (working_folder / "loud.py").write_text(
        SLOW.replace("    time.sleep", "    print('built')\n    time.sleep")
    )
    command = ("trace", "loud.py:build", "m.onnx", "--exporter", "torchscript")
    ran = run_with_libraries(*command, "--output-format", "json")
    assert ran.code == 0
    assert json.loads(ran.out)["onnx"] == "m.onnx"
    assert "loading" not in ran.out
    assert ran.err == "built\n"


def test_levels_work_behind_the_command(folder: Path) -> None:
    """--quiet and --verbose mean the same before the command's name and behind it."""
    options = ("--record", "plain.trace.json", "--force")
    assert annotated(folder, *options, "--quiet") == (0, "", "")
    assert annotated(folder, *options, "-q") == (0, "", "")
    assert annotated(folder, *options).out != ""
    before = modelexport("--verbose", "analyze", "nowhere.onnx", cwd=folder)
    behind = modelexport("analyze", "nowhere.onnx", "--verbose", cwd=folder)
    assert before == behind
    assert "Traceback" in behind.err


def test_a_record_from_standard_input(folder: Path) -> None:
    """`-` reads it; anything else than a record is refused in one sentence."""
    record = (folder / "plain.trace.json").read_bytes()
    assert annotated(folder, "--record", "-", stdin=record).code == 0
    assert (folder / "b.onnx").read_bytes() == (folder / "a.onnx").read_bytes()
    ran = annotated(folder, "--record", "-", "--force", stdin=b"{}")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "standard input" in ran.err


@pytest.mark.parametrize("command", ["analyze", "profile", "extract"])
def test_errors_name_standard_input(folder: Path, command: str) -> None:
    """Never the temporary file that holds it."""
    options = ["layer.0", "-o", "part.onnx"] if command == "extract" else []
    ran = modelexport(command, "-", *options, cwd=folder, stdin=b"no model")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("modelexport: standard input: not an ONNX model")


def test_a_report_to_standard_output(folder: Path) -> None:
    """`-` writes only the report there; the rest goes to standard error, where --quiet stops it."""
    ran = annotated(folder, "--record", "plain.trace.json", "--report", "-")
    report = msgspec.json.decode(ran.out, type=AnnotateReport)
    assert f"{report.resolved} of {report.nodes} nodes tagged" in ran.err
    assert not (folder / "-").exists()
    quiet = annotated(
        folder, *("--record", "plain.trace.json", "--report", "-", "--quiet", "--force")
    )
    assert (quiet.out, quiet.err) == (ran.out, "")


def test_files_through_pipes(folder: Path) -> None:
    """`-` is standard input and output, for the file only: the bytes are the same as by name."""
    plain, named = ((folder / name).read_bytes() for name in ("plain.onnx", "a.onnx"))
    done = modelexport(
        *("annotate", "-", "--record", "plain.trace.json", "-o", "-"), cwd=folder, stdin=plain
    )
    assert (done.code, done.out.encode(errors="surrogateescape")) == (0, named)
    assert "nodes tagged" in done.err
    back = modelexport("strip", "-", "-o", "-", "--quiet", cwd=folder, stdin=named)
    assert (back.code, back.out.encode(errors="surrogateescape"), back.err) == (0, plain, "")
    compared = modelexport("compare", "a.onnx", "-", cwd=folder, stdin=named)
    assert (compared.code, compared.err) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"plain.onnx", "plain.trace.json", "a.onnx"}


def test_weights_apart_do_not_go_through_a_pipe(folder: Path) -> None:
    """Standard output takes one file: a model with weights in others is refused."""
    model = onnx.load(folder / "plain.onnx")
    onnx.save_model(
        model, folder / "apart.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    done = modelexport(
        *("annotate", "apart.onnx", "--record", "plain.trace.json", "-o", "-"), cwd=folder
    )
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "weights" in done.err


def test_a_file_is_not_shown_in_a_terminal(folder: Path) -> None:
    """A terminal cannot show the bytes of a file, so this is refused."""
    output = in_a_terminal("strip", "a.onnx", "-o", "-", cwd=folder, code=2)
    assert "terminal" in output
    assert output.count("\n") == 1


def test_a_configuration_from_standard_input(tmp_path: Path) -> None:
    """`-` reads JSON."""
    ran = modelexport(
        *("trace", "x.py:y", "m.onnx", "--config", "-"), cwd=tmp_path, stdin=b'{"opset": "new"}'
    )
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "standard input" in ran.err
    assert "$.opset" in ran.err
