"""Digests of a job's inputs, options and results. They depend on content, never on dates."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.jobs import Job

_PACKAGES = ("modelexport", "torch", "transformers", "onnx", "onnxscript", "onnxruntime")
"""Packages whose versions can change a result."""

_LIMITS = ("timeout", "memory", "threads")
"""Fields of a job that limit it and do not change its result."""

MISSING = "missing"
"""Stands in place of the digest of a file, or the version of a package, that is not there."""


def file_digest(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """The digest of a file, or of the names and contents of all files in a folder.

    Hidden files and compiled Python files do not count. The digest of a path that does not exist
    is `MISSING`.
    """
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return MISSING
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        if file.is_file():
            whole.update(f"{inside.as_posix()}\0{file_digest(file)}\n".encode())
    return whole.hexdigest()


def digests(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """Digests by path. Paths are relative to `folder`, and the keys are the paths as given."""
    return {path: content_digest(folder / path) for path in sorted(set(paths))}


def options_digest(job: Job) -> str:
    """The digest of all that a job is told to do, and of the versions of the packages."""
    fields = {k: v for k, v in msgspec.to_builtins(job).items() if k not in _LIMITS}
    text = msgspec.json.encode([fields, versions()], order="deterministic")
    return hashlib.sha256(text).hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on. None of them is imported."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING
