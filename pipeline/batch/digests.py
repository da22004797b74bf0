"""Digests of what a job is made from and of what it wrote: by content, never by date."""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.jobs import Job

_VERSIONS = ("modelexport", "torch", "transformers", "onnx", "onnxscript", "onnxruntime")
"""Packages whose versions a result depends on."""

_WITHOUT_EFFECT = ("timeout", "memory", "threads")
"""What bounds a job and does not change its result."""

MISSING = "missing"


def file_digest(path: Path) -> str:
    """The digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """The digest of a file, or of all files of a folder and their names; of what is not, a word.

    Hidden files and compiled Python are no content.
    """
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        return MISSING
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        if any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        if file.is_file():
            found.update(f"{inside.as_posix()}\0{file_digest(file)}\n".encode())
    return found.hexdigest()


def digests(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """Digests by path; paths start from `folder` and are kept as they are given."""
    return {path: content_digest(folder / path) for path in sorted(set(paths))}


def options_digest(job: Job) -> str:
    """The digest of all that a job was told, and of the versions that did it."""
    told = {k: v for k, v in msgspec.to_builtins(job).items() if k not in _WITHOUT_EFFECT}
    text = msgspec.json.encode([told, versions()], order="deterministic")
    return hashlib.sha256(text).hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on; nothing is imported for it."""
    return {name: _version(name) for name in _VERSIONS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING
