"""An ONNX file, mapped into memory."""

import math
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from modelexport.errors import OnnxFileError
from modelexport.rewriter.container.copying import write_segments
from modelexport.rewriter.container.editing import Changes, Editing, Edits
from modelexport.rewriter.container.embedding import Embedding
from modelexport.rewriter.container.external import External, resolve, write_beside
from modelexport.rewriter.container.skeleton import SkeletonScan, Stretch
from modelexport.rewriter.container.tensors import all_tensors, reference
from modelexport.rewriter.container.wire import CutOffError, WireError

_UNREADABLE = {onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED}
_PACKED = {
    kind
    for name, kind in onnx.TensorProto.DataType.items()
    if name in {"INT4", "UINT4", "FLOAT4E2M1", "INT2", "UINT2", "FLOAT6E2M3", "FLOAT6E3M2"}
}
_PROTOBUF_LIMIT = 2**31 - 1
_LAST_WITHOUT_OPSETS = 2
"""The last IR version in which a model may go without naming its operator sets."""


def _real(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Types that numpy has no letter for (bfloat16, 4 bits, 8-bit floats) in single precision."""
    return array.astype(np.float32) if array.dtype.kind == "V" else array


class OnnxContainer:
    """An ONNX file whose weights stay in the file. Made by `OnnxContainer.open`.

    Args:
        path: The file.
        data: Its bytes, mapped.
        descriptor: Of the open file.

    Raises:
        OnnxFileError: It is no ONNX model, or not all of one.
    """

    def __init__(self, path: Path, data: mmap.mmap, descriptor: int) -> None:
        self.path = path
        self._name = path.name
        self._data = data
        self._descriptor = descriptor
        try:
            scan = SkeletonScan(data, path.name)
            slim = scan.splices.applied(data)
        except CutOffError as error:
            self._refuse(f"cut off, or not an ONNX model ({error})", error)
        except WireError as error:
            self._refuse(f"not an ONNX model ({error})", error)
        self._borrowed = scan.borrowed
        # Only a model that spells a location somewhere can refer to other files.
        self._refers = slim.count(b"location") > len(scan.borrowed)
        self._model = self._parse(slim)

    @classmethod
    @contextmanager
    def open(cls, path: str | Path) -> Iterator["OnnxContainer"]:
        """Map a file and read its skeleton.

        Raises:
            OnnxFileError: It cannot be read, or is no ONNX model, or not all of one.
        """
        path = Path(path)
        if path.is_dir():
            raise OnnxFileError(f"{path}: a folder, not an ONNX file.")
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise OnnxFileError(f"{path}: there is no such file.") from error
        except OSError as error:
            raise OnnxFileError(f"{path}: cannot be read ({error.strerror}).") from error
        with file:
            if not os.fstat(file.fileno()).st_size:
                raise OnnxFileError(f"{path}: an empty file, not an ONNX model.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield cls(path, data, file.fileno())

    def skeleton(self) -> onnx.ModelProto:
        """The model, its big tensors being external references into this very file.

        The same object at every call: copy it before changing it.
        """
        return self._model

    def payload(self, tensor: onnx.TensorProto) -> bytes | None:
        """The little-endian values that the skeleton left in the file for a tensor; else None."""
        if tensor.data_location != tensor.EXTERNAL:
            return None
        stretch = self._stretch(tensor)
        if stretch not in self._borrowed:
            return None
        return self._data[stretch.offset : stretch.offset + stretch.length]

    def array(self, tensor: onnx.TensorProto) -> npt.NDArray[Any] | None:
        """The values of an initializer, read where they are; None for what numpy cannot hold.

        Raises:
            OnnxFileError: They are in a file that is missing or too short.
        """
        if tensor.data_type in _UNREADABLE:
            return None
        if tensor.data_location != tensor.EXTERNAL:
            return _real(onnx.numpy_helper.to_array(tensor))
        if (stretch := self._stretch(tensor)) in self._borrowed:
            data: memoryview | bytes = memoryview(self._data)[
                stretch.offset : stretch.offset + stretch.length
            ]
        else:
            data = self._external_bytes(tensor)
        if tensor.data_type in _PACKED:
            whole = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims)
            whole.raw_data = bytes(data)
            return _real(onnx.numpy_helper.to_array(whole))
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        shape = tuple(tensor.dims)
        if len(data) < kind.itemsize * math.prod(shape):
            raise OnnxFileError(
                f"{self.path}: tensor {tensor.name!r} has less data than its shape."
            )
        return _real(np.frombuffer(data, kind, math.prod(shape)).reshape(shape))

    def _external_bytes(self, tensor: onnx.TensorProto) -> memoryview:
        place = reference(tensor)
        file = resolve(self.path, place.get("location", ""), tensor.name).path
        try:
            whole = np.memmap(file, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise OnnxFileError(f"{file}: the data of {tensor.name!r} cannot be read.") from error
        start = int(place.get("offset", 0))
        length = int(place.get("length", whole.size - start))
        return whole[start : start + length].data

    def external_locations(self) -> list[External]:
        """The external data files that the model refers to, each once.

        Raises:
            OnnxFileError: One of them is outside the model's folder.
        """
        return self._externals

    def write(self, target: str | Path, edits: Edits, *, force: bool = False) -> Changes:
        """Write a copy of the file with some metadata changed.

        Args:
            target: Where it goes. In another folder, external data is copied beside it.
            edits: What to change.
            force: Whether existing files may be overwritten; never the file itself.

        Returns:
            What was taken out.

        Raises:
            FileProblem: The target exists, is an input or cannot be written.
            OnnxFileError: The file cannot be edited so that stripping restores it.
            ValueError: An edit is for a node that is not there.
        """
        try:
            editing = Editing(self._data, self.skeleton(), edits)
        except WireError as error:
            self._refuse(f"cannot be edited ({error})", error)
        segments = editing.splices.segments(self._data)
        write_beside(
            Path(target),
            self.path,
            lambda sink: write_segments(self._descriptor, sink, segments),
            self.external_locations(),
            force=force,
        )
        return editing.changes

    def write_model(
        self, target: str | Path, model: onnx.ModelProto, *, force: bool = False
    ) -> None:
        """Write a model that was made of the skeleton; its weights are copied from the file.

        Args:
            target: Where it goes. In another folder, external data is copied beside it.
            model: A changed copy of the skeleton.
            force: Whether existing files may be overwritten; never the file itself.

        Raises:
            FileProblem: The target exists, is an input or cannot be written.
        """
        segments = Embedding(model.SerializeToString(), self._borrowed_stretch).segments
        write_beside(
            Path(target),
            self.path,
            lambda sink: write_segments(self._descriptor, sink, segments),
            self.external_locations(),
            force=force,
        )

    def _borrowed_stretch(self, tensor: onnx.TensorProto) -> Stretch | None:
        stretch = self._stretch(tensor)
        return stretch if stretch in self._borrowed else None

    def _parse(self, slim: bytes) -> onnx.ModelProto:
        if len(slim) > _PROTOBUF_LIMIT:
            self._refuse("more than 2 GiB of it are not plain tensors: protobuf reads no more")
        try:
            model: onnx.ModelProto = onnx.ModelProto.FromString(slim)
        except DecodeError as error:
            self._refuse(f"not an ONNX model ({error})", error)
        if not model.HasField("graph") or not model.HasField("ir_version"):
            self._refuse("not an ONNX model, or cut off (it has no graph or no IR version)")
        if not model.opset_import and model.ir_version > _LAST_WITHOUT_OPSETS:
            self._refuse("cut off, or not an ONNX model (it names no operator set)")
        return model

    @cached_property
    def _externals(self) -> list[External]:
        found: dict[str, External] = {}
        for tensor, _ in all_tensors(self._model) if self._refers else ():
            if tensor.data_location != tensor.EXTERNAL or self._stretch(tensor) in self._borrowed:
                continue
            location = reference(tensor).get("location", "")
            if location not in found:
                found[location] = resolve(self.path, location, tensor.name)
        return list(found.values())

    def _stretch(self, tensor: onnx.TensorProto) -> Stretch | None:
        """Where in this file a tensor's values are, if its reference says so."""
        said = reference(tensor)
        numbers = said.get("offset", ""), said.get("length", "")
        if said.get("location") != self._name or not all(map(str.isdecimal, numbers)):
            return None
        return Stretch(*map(int, numbers))

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise OnnxFileError(f"{self.path}: {why}.") from cause
