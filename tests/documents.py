"""What the documents say is done: their files written, their commands and snippets run, in order.

A fenced block is a file where it has a name (```python net.py, or ```toml title="plan.toml"), a
script to run where it is Python, and command lines where it is sh. A line that ends with `&`
stays under way until the document is done. A comment `# exits with 1: ...` says what a command
exits with, where it is not 0. Blocks of text are shown and not run.
"""

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from batching import environment, started

_BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\"| (?P<name>[\w.]+))?\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_EXITS = re.compile(r"# exits with (\d+)")
PROGRAMS = {"modelexport": "cli", "dask": "dask"}
"""What documents may run, and the module that it is."""


class Block(NamedTuple):
    language: str
    name: str | None
    text: str


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document."""
    found = _BLOCK.finditer(document)
    return [Block(m["language"], m["title"] or m["name"], m["text"]) for m in found]


def commands(document: str) -> list[str]:
    """The command lines of a document."""
    shell = (block.text for block in blocks(document) if block.language == "sh")
    return [line for text in shell for line in text.splitlines()]


def carry_out(document: str, folder: Path) -> None:
    """Do all that a document says, in a folder."""
    with ExitStack() as under_way:
        for language, name, text in blocks(document):
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
    if arguments[-1] == "&":
        under_way.enter_context(started(folder, module, *arguments[:-1]))
    else:
        code = _EXITS.search(line)
        _run([sys.executable, "-m", module, *arguments], folder, int(code[1]) if code else 0)


def _run(command: list[str], folder: Path, code: int) -> None:
    paths = {"PYTHONPATH": os.pathsep.join([str(folder), environment()["PYTHONPATH"]])}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment() | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
