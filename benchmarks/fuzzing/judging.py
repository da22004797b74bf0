"""Running one command in this process, and judging how it ended."""

import importlib
import io
import json
import re
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import onnx
import typer
from google.protobuf.message import DecodeError

from fuzzing.commands import Command
from fuzzing.graph_edits import EDIT, edit_graph

SECONDS = 20
"""Time limit of a case."""

_OBEYED = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)
"""Characters that a terminal would obey or hide."""
_UNEXPECTED = re.compile(r"unexpected [A-Z]\w*:|Traceback \(most recent")
_VAGUE = ("something in the input", "the operating system reports", "not enough memory")
"""Sentences that do not name the file that is damaged."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


class Ending(NamedTuple):
    """How a command ended.

    Attributes:
        code: Exit code, or the traceback of what passed the command line.
        out, err: What it printed.
        raw: The bytes of standard output.
        seconds: How long it took.
    """

    code: object
    out: str
    err: str
    raw: bytes
    seconds: float

    def signature(self, command: Command) -> str:
        """What the ending tells, without names and numbers: equal for endings of one kind."""
        return f"{command.name} {self.code} {plain_words(self.err)}"


def plain_words(text: str) -> str:
    """The words of a message, without what is quoted, numbered or long."""
    words = _QUOTED.sub("", text.lower())[:2000].split()
    plain = (word.strip(".,:;()") for word in words)
    return " ".join(word for word in plain if word.isascii() and word.isalpha() and len(word) < 15)


def build_commands_once() -> None:
    """Keep the command line's parser, which is else built anew for each command: 8 ms."""
    cli = importlib.import_module("modelexport.cli.main")
    if isinstance(cli.app, typer.Typer):
        cli.app = typer.main.get_command(cli.app)


def run_command(command: Command, stdin: bytes = b"") -> Ending:
    """Run a command in the working folder, with a time limit."""
    cli = importlib.import_module("modelexport.cli.main")
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin, b"", b"")]
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    signal.signal(signal.SIGALRM, _raise_timeout)
    signal.alarm(SECONDS)
    start = time.monotonic()
    try:
        code: object = (
            edit_graph(*command.arguments[1:])
            if command.name == EDIT
            else cli.main(list(command.arguments))
        )
    except SystemExit as ended:
        code = ended.code
    except _TimeoutReached:
        code = f"after {SECONDS} s: {traceback.format_exc()[-600:]}"
    except BaseException:  # noqa: BLE001 - what passes `main` is a finding
        code = traceback.format_exc()[-600:]
    finally:
        signal.alarm(0)
        sys.stdin, sys.stdout, sys.stderr = before
    if isinstance(code, str):  # a traceback, which may quote anything
        code = code.encode("ascii", "backslashreplace").decode()
    seconds = time.monotonic() - start
    raw = []
    for stream in streams[1:]:
        stream.flush()
        raw.append(stream.buffer.getvalue())  # type: ignore[attr-defined]
    out, err = (data.decode(errors="replace") for data in raw)
    return Ending(code, "" if command.writes_stdout else out, err, raw[0], seconds)


def find_fault(command: Command, ending: Ending, new: set[str]) -> str | None:
    """What is wrong with the end of a command; None when it is right.

    Args:
        command: The command.
        ending: How it ended.
        new: Names of the files that it left in the working folder.
    """
    if ending.code not in {0, 1, 2}:
        return f"exit code {ending.code}: {ending.err[:400]}"
    if _UNEXPECTED.search(ending.err + ending.out):
        return ending.err[:400] or ending.out[:400]
    if any(words in ending.err for words in _VAGUE):
        return ending.err[:400]
    if match := _OBEYED.search(ending.out + ending.err):
        return f"character {match[0]!r}, which a terminal obeys"
    if any(name.endswith(".part") for name in new):
        return "an unfinished file is left"
    if ending.code == 2:
        return _find_fault_of_refusal(ending, new)
    return _find_fault_of_output(command, ending, new)


def _find_fault_of_refusal(ending: Ending, new: set[str]) -> str | None:
    last = ending.err.rstrip("\n").rpartition("\n")[2]
    if not last.startswith("modelexport: "):
        return f"no sentence: {ending.err[:400]}"
    if ending.raw:
        return f"it failed after printing: {ending.out[:200]}"
    return f"it failed and left {', '.join(sorted(new))}" if new else None


def _find_fault_of_output(command: Command, ending: Ending, new: set[str]) -> str | None:
    """What is wrong with what a command wrote that did not fail."""
    try:
        if command.writes_stdout:
            check = _check_page if command.name == "report" else onnx.ModelProto.FromString
            check(ending.raw)
        if "--output-format json" in str(command):
            json.loads(ending.out)
        for name in sorted(new):
            _check_complete(Path(name))
    except (ValueError, DecodeError) as error:
        return f"its output is not complete: {type(error).__name__}: {error}"
    return None


def _check_complete(file: Path) -> None:
    """Read a file that a command wrote.

    Raises:
        ValueError, DecodeError: It is cut off.
    """
    if file.is_dir():
        for inner in file.iterdir():
            _check_complete(inner)
    elif _is_copy(file):
        return
    elif file.suffix == ".onnx":
        onnx.ModelProto.FromString(file.read_bytes())
    elif file.suffix == ".json":
        json.loads(file.read_bytes())
    elif file.suffix == ".html":
        _check_page(file.read_bytes())


def _is_copy(file: Path) -> bool:
    """Whether a file is a copy of an input, which may be damaged."""
    source = Path(file.name)
    if not source.is_file() or source.samefile(file):
        return False
    return source.read_bytes() == file.read_bytes()


def _check_page(page: bytes) -> None:
    if not page.rstrip().endswith(b"</html>"):
        raise ValueError("the page has no end")


class _TimeoutReached(BaseException):
    pass


def _raise_timeout(*_: object) -> None:
    raise _TimeoutReached
