"""Running our commands as users do: in a process of their own. In this one, see `run`."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class CommandResult(NamedTuple):
    """What a command gave back: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Run = Callable[..., CommandResult]


def environment(**more: str) -> dict[str, str]:
    """Environment variables for a process that runs this checkout's code.

    Its output is buffered, as that of users is.
    """
    own = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**own, "PYTHONPATH": str(ROOT), **more}


def modelexport(
    *arguments: str | Path, cwd: Path, stdin: bytes = b"", **variables: str
) -> CommandResult:
    """Run a command in a process of its own; output that is no text is kept as surrogates.

    Args:
        arguments: Of the command.
        cwd: Its working folder.
        stdin: What it reads from standard input.
        variables: Environment variables besides those of this process.
    """
    done = subprocess.run(
        [sys.executable, "-B", "-m", "modelexport", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        env=environment(**variables),
        capture_output=True,
        check=False,
    )
    out, err = (data.decode(errors="surrogateescape") for data in (done.stdout, done.stderr))
    return CommandResult(done.returncode, out, err)


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, where it finds this checkout's code."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


_LISTING_PACKAGES = """
import sys
from modelexport.cli.main import main
try:
    main(sys.argv[1:])
finally:
    names = {name.partition(".")[0] for name in sys.modules}
    print("", *names, file=sys.stderr)
"""


def packages_loaded_by(*arguments: str | Path, cwd: Path) -> tuple[CommandResult, set[str]]:
    """Run a command in a process of its own; gives its result, and what it imported.

    Args:
        arguments: Of the command.
        cwd: Its working folder.

    Returns:
        The result, and the top-level packages that are in memory at its end.
    """
    done = subprocess.run(
        [sys.executable, "-c", _LISTING_PACKAGES, *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    *lines, last = done.stderr.splitlines(keepends=True)
    return CommandResult(done.returncode, done.stdout, "".join(lines)), set(last.split())


@contextmanager
def running_command(folder: Path, *command: str) -> "Iterator[subprocess.Popen[str]]":
    """A command under way, in a process group of its own; it ends when the context does.

    Args:
        folder: Its working folder.
        command: A module and its arguments, as behind `python -m`.
    """
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
