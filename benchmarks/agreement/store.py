"""Where made files are kept between runs, each under the content of what made it."""

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path

from modelexport.support.error_texts import first_line

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "temp" / "agreement"

_TOOLS = (
    *("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "numpy"),
    *("onnxslim", "onnxsim", "onnx-graphsurgeon", "onnxconverter-common"),
)
_FOLDERS = re.compile(r"(?:(?<=^)|(?<=[\s'\"(=:]))/(?:[\w.+@~-]+/)+")
"""Absolute folders, which say nothing to anybody else."""


class NotPossible(Exception):  # noqa: N818 - reads as what it is
    """A tool cannot do this for this model; the message is the tool's own first line."""


def error_line(error: BaseException) -> str:
    """The type of an error and the first line of its message, files without their folders."""
    return _FOLDERS.sub("", first_line(error, with_type=True))


def key_of(*parts: str) -> str:
    """A short name for some content."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(f"{len(part)}:{part}".encode())
    return hashed.hexdigest()[:20]


@cache
def sources(*places: str) -> str:
    """A digest of source files, and of the versions of the tools that they call.

    Args:
        places: Files or folders, relative to the root of the project.
    """
    hashed = hashlib.sha256()
    for place in places:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            hashed.update(file.read_bytes())
    for tool in _TOOLS:
        hashed.update(f"{tool}={metadata.version(tool)}".encode())
    return hashed.hexdigest()


def stored(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder of a key, made if it is not there; a failure is kept as well.

    Args:
        kind: What is stored.
        key: Of what it is made of.
        make: Fills a folder.

    Raises:
        NotPossible: It failed, now or before.
    """
    folder = CACHE / kind / key
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
        try:
            make(part)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is its answer
            _empty(part.iterdir())
            (part / "failed").write_text(error_line(error))
        try:
            part.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(part)
    failed = folder / "failed"
    if failed.exists():
        raise NotPossible(failed.read_text())
    return folder


def _empty(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def tools_apart() -> Iterator[None]:
    """What tools print, Python's or not, goes to a log."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with (CACHE / "tools.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, old in enumerate(kept, 1):
            os.dup2(old, number)
            os.close(old)
