"""Writing a part of a model: only the bytes of its own weights are copied, none are read.

In the folder of the whole file, the part refers to the same external data. In another folder it
gets a data file of its own with the ranges that it needs. Each range keeps its offset within a
memory page, so that the kernel copies it, or shares its disk blocks where the file system can.
"""

import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import onnx

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.rewriter.container.copying import copy_range
from modelexport.rewriter.container.external_data import is_number, resolve
from modelexport.rewriter.container.open_file import OpenFile
from modelexport.rewriter.container.tensor_walk import external_reference


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
