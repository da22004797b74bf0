"""Writing a part of a model: only the bytes of its own weights are copied, none are read.

In the folder of the whole file, the part refers to the same external data. In another folder it
gets a data file of its own with the ranges that it needs. Each range keeps its offset within a
memory page, so that the kernel copies it, or shares its disk blocks where the file system can.
"""

import mmap
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import onnx

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.rewriter.container.copying import copy_range
from modelexport.rewriter.container.external_data import is_number, resolve
from modelexport.rewriter.container.open_file import OpenFile
from modelexport.rewriter.container.tensor_walk import external_reference
from modelexport.support.files import atomic_replacement, check_target


class PartFiles(NamedTuple):
    """The files of one part.

    Attributes:
        target: The part itself.
        home: The folder where it will be in the end.
        data: The file of its external data; None where it refers to that of the whole, or has none.
    """

    target: Path
    home: Path
    data: Path | None

    @classmethod
    def of(cls, target: Path, home: Path, whole: Path, *, external: bool) -> "PartFiles":
        """The files of a part.

        Args:
            target: The part itself.
            home: The folder where it will be in the end.
            whole: The file that it is a part of.
            external: Whether it has external data.
        """
        is_beside = home.exists() and home.samefile(whole.parent)
        copied = external and not is_beside
        return cls(target, home, target.parent / f"{target.name}.data" if copied else None)

    @property
    def paths(self) -> list[Path]:
        """All of them."""
        return [self.target] if self.data is None else [self.target, self.data]

    @property
    def data_name(self) -> str:
        """What the part calls the file of its data; empty without one."""
        return "" if self.data is None else self.data.name

    def check(self, inputs: Iterable[Path], *, force: bool) -> None:
        """Refuse files that exist in the home, or are inputs.

        Raises:
            FileProblem: There is one.
        """
        if self.home.exists():
            for path in self.paths:
                check_target(self.home / path.name, force=force, inputs=inputs)

    @contextmanager
    def open(self, inputs: Iterable[Path], *, force: bool) -> Iterator[tuple[Path, Path | None]]:
        """Unfinished files for the part and its data, which get their names when the body ends.

        Raises:
            FileProblem: A file exists already, is an input or cannot be written.
        """
        with ExitStack() as stack:
            part, *data = [
                stack.enter_context(atomic_replacement(path, force=force, inputs=inputs))
                for path in self.paths
            ]
            yield part, data[0] if data else None


def move_external_data(
    tensors: Iterable[onnx.TensorProto], source: Path, data: Path, location: str
) -> None:
    """Copy the external data of some tensors into one file, and let them refer to that.

    Args:
        tensors: Tensors of a changed copy of a skeleton, whose values are in other files.
        source: The model's file that they come from.
        data: The file to write.
        location: What the tensors call it.

    Raises:
        FileProblem: A file is missing.
        OnnxFileError: A file is shorter than the tensors say, or changes meanwhile.
    """
    copied: dict[tuple[str, int, int], int] = {}
    with data.open("wb", buffering=0) as sink:
        for tensor in tensors:
            reference = external_reference(tensor)
            path = resolve(source, reference.get("location", ""), tensor.name).path
            if not path.is_file():
                raise FileProblem(f"{path}: the model's external data is missing.")
            size = path.stat().st_size
            numbers = reference.get("offset", "0"), reference.get("length", "")
            if not all(is_number(number) for number in numbers if number):
                raise OnnxFileError(
                    f"{source}: the place of the data of tensor {tensor.name!r} is no number."
                )
            start = int(numbers[0] or 0)
            length = int(numbers[1]) if numbers[1] else size - start
            if length < 0 or start + length > size:
                raise OnnxFileError(f"{path}: the data of tensor {tensor.name!r} is cut off.")
            span = str(path), start, length
            if span not in copied:
                copied[span] = _append(path, sink.fileno(), start, length)
            del tensor.external_data[:]
            entries = {"location": location, "offset": copied[span], "length": length}
            for key, value in entries.items():
                tensor.external_data.add(key=key, value=str(value))


def _append(path: Path, sink: int, start: int, length: int) -> int:
    """Copy a range to the end of a file. Returns its offset there."""
    end = os.lseek(sink, 0, os.SEEK_END)
    offset = end + (start - end) % mmap.PAGESIZE
    os.ftruncate(sink, offset)
    os.lseek(sink, offset, os.SEEK_SET)
    with OpenFile.open(path) as source:
        try:
            copy_range(source.descriptor, sink, start, length)
        except EOFError:
            source.refuse_shorter()
    return offset
