"""External data: the files that a model's tensors refer to.

They are never changed. A model written into another folder gets copies of them beside it,
because onnx and onnxruntime refuse locations outside a model's own folder.
"""

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.rewriter.container.copying import copy_range
from modelexport.support.files import atomic_replacement, write_problem


class External(NamedTuple):
    """One file of external data.

    Attributes:
        location: As the model writes it, relative to the model's folder.
        path: Where that is.
    """

    location: str
    path: Path


def resolve(model: Path, location: str, tensor: str) -> External:
    """The file that a location names.

    Args:
        model: The model's file.
        location: As one of its tensors writes it.
        tensor: Name of that tensor, for the error.

    Raises:
        OnnxFileError: It is no place inside the model's folder.
    """
    windows = PureWindowsPath(location)
    inside = os.path.normpath(location)
    if not location or windows.drive or windows.root or inside.split(os.sep, 1)[0] == os.pardir:
        raise OnnxFileError(
            f"{model}: tensor {tensor!r} has its data at {location!r}, which is not a place in the "
            "model's folder."
        )
    path = model.parent / inside
    if not path.resolve().is_relative_to(model.parent.resolve()):
        raise OnnxFileError(
            f"{model}: tensor {tensor!r} has its data at {location!r}, which is a link that leaves "
            "the model's folder."
        )
    return External(location, path)


def write_beside(
    target: Path, model: Path, write: Callable[[int], None], files: list[External], *, force: bool
) -> None:
    """Write a copy of a model, and its external data beside it when it changes folders.

    Args:
        target: Where the copy goes.
        model: The model's file.
        write: Writes it to a descriptor.
        files: What it refers to.
        force: Whether existing files may be overwritten; never one of these.

    Raises:
        FileProblem: Something cannot be written; then nothing is there.
    """
    inputs = [model, *(file.path for file in files)]
    with atomic_replacement(target, force=force, inputs=inputs, mode_of=model) as part:
        if target.parent.samefile(model.parent):
            files = []
        if any(os.path.normpath(file.location) == target.name for file in files):
            raise FileProblem(f"{target}: the model's external data has this name; choose another.")
        with part.open("wb", buffering=0) as sink:
            write(sink.fileno())
        with _copied(files, target.parent, force=force):
            pass


@contextmanager
def _copied(files: Iterable[External], folder: Path, *, force: bool) -> Iterator[None]:
    """Copy external data beside a model that is being written; all of it goes if that fails.

    Args:
        files: What the model refers to.
        folder: Where the new model goes. If it is the old one's folder nothing is copied.
        force: Whether a different file of the same name may be overwritten.

    Raises:
        FileProblem: A file is missing, or cannot be written, or a different one is there.
    """
    with ExitStack() as stack:
        for file in files:
            target = folder / os.path.normpath(file.location)
            if not file.path.is_file():
                raise FileProblem(f"{file.path}: the model's external data is missing.")
            if target.exists() and _same(file.path, target):
                continue
            stack.enter_context(_folders(target.parent))
            part = stack.enter_context(
                atomic_replacement(target, force=force, inputs=[file.path], mode_of=file.path)
            )
            with file.path.open("rb") as source, part.open("wb") as sink:
                copy_range(source.fileno(), sink.fileno(), 0, file.path.stat().st_size)
        yield


def _same(left: Path, right: Path) -> bool:
    return left.samefile(right) or filecmp.cmp(left, right, shallow=False)


@contextmanager
def _folders(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; the new ones go if the body raises."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_problem(folder, error) from error
    try:
        yield
    except BaseException:
        for each in missing:
            each.rmdir()
        raise
