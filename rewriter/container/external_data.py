"""External data: the files that a model's tensors refer to.

These files are never changed. A model that is written into another folder gets copies of them
beside it, because onnx and onnxruntime refuse locations outside a model's own folder.
"""

import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import onnx

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.rewriter.container.copying import copy_range
from modelexport.rewriter.container.open_file import OpenFile
from modelexport.rewriter.container.tensor_walk import external_reference
from modelexport.support.files import atomic_replacement
from modelexport.support.folders import made_folder
from modelexport.support.real_paths import real_path

_MAX_DIGITS = 18
"""Maximum number of digits of an offset or length in bytes."""


class ExternalFile(NamedTuple):
    """One file of external data.

    Attributes:
        location: As the model writes it, relative to the model's folder.
        path: The path of the file.
    """

    location: str
    path: Path


def resolve(model: Path, location: str, tensor: str) -> ExternalFile:
    """Find the file that a location names.

    Args:
        model: The model's file.
        location: As one of its tensors writes it.
        tensor: Name of that tensor, for the error message.

    Raises:
        OnnxFileError: The location is not inside the model's folder.
    """
    windows = PureWindowsPath(location)
    relative = os.path.normpath(location)
    if not location or windows.drive or windows.root or relative.split(os.sep, 1)[0] == os.pardir:
        raise OnnxFileError(
            f"{model}: the data of tensor {tensor!r} is at {location!r}, which is not a place in "
            "the model's folder."
        )
    path = model.parent / relative
    if "\0" in relative:
        raise OnnxFileError(f"{model}: the data of tensor {tensor!r} is at no possible place.")
    if not real_path(path).is_relative_to(real_path(model.parent)):
        raise OnnxFileError(
            f"{model}: the data of tensor {tensor!r} is at {location!r}, which is a link that "
            "leaves the model's folder."
        )
    try:
        is_no_file = path.exists() and not path.is_file()
    except OSError as error:  # a name that is too long
        raise OnnxFileError(
            f"{model}: the data of tensor {tensor!r} is at no possible place ({error.strerror})."
        ) from error
    if is_no_file:
        raise OnnxFileError(
            f"{path}: the data of tensor {tensor!r} is a folder, pipe or device, not a file."
        )
    return ExternalFile(location, path)


def external_bytes(model: Path, tensor: onnx.TensorProto) -> memoryview:
    """The bytes of a tensor in its external file.

    Args:
        model: The model's file.
        tensor: A tensor with external data.

    Raises:
        OnnxFileError: The file is outside the model's folder, cannot be read or is too short.
    """
    reference = external_reference(tensor)
    path = resolve(model, reference.get("location", ""), tensor.name).path
    place = {key: reference[key] for key in ("offset", "length") if key in reference}
    wrong = next((key for key, text in place.items() if not is_number(text)), None)
    if wrong is not None:
        raise OnnxFileError(
            f"{model}: the data of tensor {tensor.name!r} has a {wrong} that is no number."
        )
    with OpenFile.open(path) as file:
        start = int(place.get("offset", 0))
        length = int(place.get("length", max(0, file.size - start)))
        if start + length > file.size:
            raise OnnxFileError(
                f"{path}: ends at byte {file.size:,}, before the data of tensor {tensor.name!r}."
            )
        return file.read(start, length).data


def is_number(text: str) -> bool:
    """Whether a text is an offset or length that a file can have."""
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS


def write_beside(
    target: Path,
    model: Path,
    write: Callable[[int], None],
    external_files: list[ExternalFile],
    *,
    force: bool,
) -> None:
    """Write a copy of a model. In another folder, its external data is copied beside it.

    Args:
        target: Where the copy goes.
        model: The model's file.
        write: Writes the copy to a file descriptor.
        external_files: The files that the model refers to.
        force: Whether existing files may be overwritten. The model and its data never are.

    Raises:
        FileProblem: Something cannot be written. Then no file is left behind.
    """
    inputs = [model, *(file.path for file in external_files)]
    with atomic_replacement(target, force=force, inputs=inputs, mode_of=model) as part:
        if target.parent.samefile(model.parent):
            external_files = []
        if any(os.path.normpath(file.location) == target.name for file in external_files):
            raise FileProblem(
                f"{target}: the model's external data has this name; choose another one."
            )
        with part.open("wb", buffering=0) as sink:
            write(sink.fileno())
        with _copied(external_files, target.parent, force=force):
            pass


@contextmanager
def _copied(files: Iterable[ExternalFile], folder: Path, *, force: bool) -> Iterator[None]:
    """Copy external data into a folder; remove all copies if the body raises.

    Args:
        files: What the model refers to.
        folder: The folder of the new model.
        force: Whether a different file of the same name may be overwritten.

    Raises:
        FileProblem: A file is missing or cannot be written, or a different file has its name.
    """
    with ExitStack() as stack:
        for file in files:
            target = folder / os.path.normpath(file.location)
            if not file.path.is_file():
                raise FileProblem(f"{file.path}: the model's external data is missing.")
            if target.exists() and _is_same(file.path, target):
                continue
            stack.enter_context(made_folder(target.parent))
            part = stack.enter_context(
                atomic_replacement(target, force=force, inputs=[file.path], mode_of=file.path)
            )
            with OpenFile.open(file.path) as source, part.open("wb") as sink:
                try:
                    copy_range(source.descriptor, sink.fileno(), 0, source.size)
                except EOFError:
                    source.refuse_shorter()
        yield


def _is_same(left: Path, right: Path) -> bool:
    return left.samefile(right) or filecmp.cmp(left, right, shallow=False)
