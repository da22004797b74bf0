"""Does what a document says: writes its files, runs its commands and code, in order.

A fenced block is a file where it has a name (```python net.py, or ```toml title="plan.toml"), a
script where it is Python without a name, and command lines where it is sh. A line that ends with
`&` runs until the document is done; a line with a `|` is run by the shell. A comment
`# exits with 1: ...` states the exit code of its command, where that is not 0. Blocks of text are
output, and are not run.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import NamedTuple
from warnings import catch_warnings, simplefilter

import pytest

from modelexport.cli.main import main
from tests.helpers.commands import environment, running_command

_BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\"| (?P<name>[\w.]+))?\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
_EXITS = re.compile(r"# exits with (\d+)")
PROGRAMS = {"modelexport": "modelexport", "dask": "dask"}
"""The programs that documents may run, and the module that each is."""

_OWN_PROCESS = {"batch"}
"""Commands that handle signals and start processes: each runs in a process of its own."""

_MAIN = "__main__"
"""So do scripts that start processes: these load the script again, which has to guard its code."""


class Block(NamedTuple):
    language: str
    name: str | None
    text: str


def fenced_blocks(document: str) -> list[Block]:
    """The fenced blocks of a document."""
    matches = _BLOCK.finditer(document)
    return [Block(m["language"], m["title"] or m["name"], m["text"]) for m in matches]


def command_lines(document: str) -> list[str]:
    """The command lines of a document."""
    shell = (block.text for block in fenced_blocks(document) if block.language == "sh")
    return [line for text in shell for line in text.splitlines()]


def run_document(document: str, folder: Path) -> None:
    """Write the files and run the commands of a document, in a folder."""
    steps = fenced_blocks(document)
    assert steps
    with ExitStack() as background:
        for language, name, text in steps:
            if name:
                (folder / name).write_text(text)
            elif language == "sh":
                for line in text.splitlines():
                    _command(line, folder, background)
            elif language == "python" and _MAIN in text:
                _run([sys.executable, "-c", text], folder, 0)
            elif language == "python":
                run_code(text, folder)


def _command(line: str, folder: Path, background: ExitStack) -> None:
    program, *arguments = shlex.split(line, comments=True)
    module = PROGRAMS[program]
    expected = int(code[1]) if (code := _EXITS.search(line)) else 0
    if "|" in arguments:
        _run(["bash", "-o", "pipefail", "-c", line], folder, expected)
    elif arguments[-1] == "&":
        background.enter_context(running_command(folder, module, *arguments[:-1]))
    elif arguments[0] in _OWN_PROCESS:
        _run([sys.executable, "-m", module, *arguments], folder, expected)
    else:
        assert _run_command(arguments, folder) == expected, line


@contextmanager
def _in_this_process(folder: Path) -> Iterator[None]:
    """Run the body in a folder, in this process, where torch is loaded already."""
    paths = sys.path.copy()
    try:
        with chdir(folder):
            yield
    finally:
        sys.path[:] = paths
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(folder)):
                del sys.modules[name]  # another document may have a file of this name


def _run_command(arguments: list[str], folder: Path) -> object:
    """Run our command; gives its exit code."""
    with _in_this_process(folder), pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def run_code(text: str, folder: Path = Path()) -> None:
    """Run a script. Python would not make errors of warnings, either."""
    with _in_this_process(folder), catch_warnings():
        simplefilter("ignore")
        sys.path.insert(0, str(folder))
        exec(compile(text, "document", "exec"), {"__name__": "__main__"})  # noqa: S102 - ours


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
