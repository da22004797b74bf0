"""What the documents say is done: their files written, their commands and snippets run, in order.

A fenced block is a file where it has a name (```python net.py, or ```toml title="plan.toml"), a
script to run where it is Python, and command lines where it is sh. A line that ends with `&`
stays under way until the document is done; one with a `|` is the shell's. A comment
`# exits with 1: ...` says what a command exits with, where it is not 0. Blocks of text are shown
and not run.
"""

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import NamedTuple

import pytest

from modelexport.cli.main import main
from tests.helpers.commands import environment, running_command

_BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\"| (?P<name>[\w.]+))?\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_EXITS = re.compile(r"# exits with (\d+)")
PROGRAMS = {"modelexport": "modelexport", "dask": "dask"}
"""What documents may run, and the module that it is."""


_APART = {"batch"}
"""Commands that handle signals and start processes: they get one of their own."""


class Block(NamedTuple):
    language: str
    name: str | None
    text: str


def fenced_blocks(document: str) -> list[Block]:
    """The fenced blocks of a document."""
    found = _BLOCK.finditer(document)
    return [Block(m["language"], m["title"] or m["name"], m["text"]) for m in found]


def command_lines(document: str) -> list[str]:
    """The command lines of a document."""
    shell = (block.text for block in fenced_blocks(document) if block.language == "sh")
    return [line for text in shell for line in text.splitlines()]


def run_document(document: str, folder: Path) -> None:
    """Do all that a document says, in a folder."""
    steps = fenced_blocks(document)
    assert steps
    with ExitStack() as under_way:
        for language, name, text in steps:
            if name:
                (folder / name).write_text(text)
            elif language == "sh":
                for line in text.splitlines():
                    _command(line, folder, under_way)
            elif language == "python":
                _run([sys.executable, "-c", text], folder, 0)


def _command(line: str, folder: Path, under_way: ExitStack) -> None:
    program, *arguments = shlex.split(line, comments=True)
    module = PROGRAMS[program]
    expected = int(code[1]) if (code := _EXITS.search(line)) else 0
    if "|" in arguments:
        _run(["bash", "-o", "pipefail", "-c", line], folder, expected)
    elif arguments[-1] == "&":
        under_way.enter_context(running_command(folder, module, *arguments[:-1]))
    elif arguments[0] in _APART:
        _run([sys.executable, "-m", module, *arguments], folder, expected)
    else:
        assert _here(arguments, folder) == expected, line


def _here(arguments: list[str], folder: Path) -> object:
    """The exit code of our command in this process, which has loaded torch already."""
    paths = sys.path.copy()
    try:
        with chdir(folder), pytest.raises(SystemExit) as stopped:
            main(arguments)
    finally:
        sys.path[:] = paths
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(folder)):
                del sys.modules[name]  # another document may have another one of this name
    return stopped.value.code


def _run(command: list[str], folder: Path, code: int) -> None:
    paths = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(folder), environment()["PYTHONPATH"]]),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
