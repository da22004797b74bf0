"""Pages that show what commands print: each block of text has the output of the commands above it.

`python -m fixtures_gen.outputs docs/uses.md` writes the page anew; a test compares it.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fixtures_gen.help_texts import PLAIN

START = "getting-started.md"
"""The page whose files the commands use. It stands beside the page."""

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"[+-]*\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?%?(?: (?:us|ms)\b)?")

Runner = Callable[[list[str]], str]
"""Runs a command of ours, by its arguments, and gives what it prints."""


def with_outputs(page: str, run: Runner, run_code: Callable[[str], object]) -> str:
    """A page in which each block of text has what the commands above it print.

    Args:
        page: The page, in markdown.
        run: Runs a command.
        run_code: Runs a block of Python.
    """
    printed = ""

    def replaced(match: re.Match[str]) -> str:
        nonlocal printed
        language, title, text = match.groups()
        if title:
            Path(title).write_text(text)
        elif language == "python":
            run_code(text)
        elif language == "sh":
            lines = (shlex.split(line, comments=True) for line in text.splitlines())
            printed = "".join(run(arguments) for _, *arguments in lines)
        elif language == "text":
            shown = "\n".join(line.rstrip() for line in printed.splitlines())
            return f"```text\n{shown}\n```"
        return match[0]

    return _BLOCK.sub(replaced, page)


def comparable(page: str) -> str:
    """A page without what differs from run to run and from machine to machine.

    Of a profile only the names of modules are left, of other outputs all but the fractions.
    """
    return _BLOCK.sub(lambda match: _comparable_block(match[0]), page)


def _comparable_block(block: str) -> str:
    if "below the root" in block:
        return "\n".join(line.split("  ")[0] for line in block.splitlines()[:-2])
    return " ".join(_NUMBER.sub(_without_fraction, block).split())


def _without_fraction(match: re.Match[str]) -> str:
    number = match[0]
    return "#" if "." in number or "e" in number or "s" in number else number


def _run(arguments: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "modelexport", *arguments],
        env={**os.environ, **PLAIN},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _run_code(text: str) -> None:
    subprocess.run([sys.executable, "-c", text], check=True)  # noqa: S603 - a page of ours


def main(target: Path) -> None:
    """Write a page anew, in a temporary folder with the files of getting-started."""
    page, target = target.read_text(), target.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with_outputs(target.with_name(START).read_text(), _run, _run_code)
        target.write_text(with_outputs(page, _run, _run_code))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
