"""Running the command line: in this process, for speed, or as users do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from modelexport.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process; gives exit code, output and errors."""
    capsys.readouterr()

    def run(*arguments: str | Path) -> Ran:
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Ran(stopped.value.code, captured.out, captured.err)

    return run


def modelexport(*arguments: str | Path, cwd: Path, given: bytes = b"", **environment: str) -> Ran:
    """Runs the command in a process of its own; bytes that are no text are kept as surrogates.

    Args:
        arguments: Behind its name.
        cwd: Where.
        given: What it reads from standard input.
        environment: On top of this process's own.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-m", "modelexport", *map(str, arguments)],
        cwd=cwd,
        input=given,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
    )
    out, err = (data.decode(errors="surrogateescape") for data in (done.stdout, done.stderr))
    return Ran(done.returncode, out, err)
