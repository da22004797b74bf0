"""The help text of every command, as it looks in a terminal of fixed width.

`python -m fixtures_gen.help_texts tests/snapshots` writes them (`make snapshots`); tests compare
them.
"""

import os
import subprocess
import sys
from pathlib import Path

import typer

from modelexport.cli.main import app

WIDTH = 90
PLAIN = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def commands() -> list[str]:
    """The names of all commands; `""` is the program itself."""
    return ["", *sorted(typer.main.get_command(app).commands)]  # type: ignore[attr-defined]


def snapshot(folder: Path, command: str) -> Path:
    """The file with the help text of a command."""
    return folder / f"help-{command or 'modelexport'}.txt"


def help_text(command: str) -> str:
    """What `modelexport COMMAND --help` prints.

    Raises:
        CalledProcessError: The command fails.
    """
    arguments = [*filter(None, [command]), "--help"]
    completed = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "modelexport", *arguments],
        env={**os.environ, **PLAIN},
        capture_output=True,
        check=True,
    )
    return completed.stdout.decode()


def write_snapshots(folder: Path) -> None:
    """Write all help texts, and remove those of commands that do not exist any more."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("help-*.txt"):
        old.unlink()
    for command in commands():
        snapshot(folder, command).write_text(help_text(command))


if __name__ == "__main__":
    write_snapshots(Path(sys.argv[1]))
