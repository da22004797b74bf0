"""An ONNX file, mapped into memory."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import onnx
from google.protobuf.message import DecodeError

from hierarchy.errors import FileProblem, OnnxFileError
from hierarchy.files import replacing
from rewriter.container.copying import write_segments
from rewriter.container.editing import Changes, Editing, Edits
from rewriter.container.external import External, copied, resolve
from rewriter.container.skeleton import SkeletonScan, Stretch
from rewriter.container.tensors import all_tensors, reference
from rewriter.container.wire import CutOffError, WireError

_PROTOBUF_LIMIT = 2**31 - 1
_LAST_WITHOUT_OPSETS = 2
"""The last IR version in which a model may go without naming its operator sets."""


class OnnxContainer:
    """An ONNX file whose weights stay in the file. Made by `OnnxContainer.open`.

    Args:
        path: The file.
        data: Its bytes, mapped.
        descriptor: Of the file.
    """

    def __init__(self, path: Path, data: mmap.mmap, descriptor: int) -> None:
        self.path = path
        self._data = data
        self._descriptor = descriptor
        self._may_refer = True

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
            if not path.stat().st_size:
                raise OnnxFileError(f"{path}: an empty file, not an ONNX model.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                container = cls(path, data, file.fileno())
                container.skeleton()
                yield container

    def skeleton(self) -> onnx.ModelProto:
        """The model, its big tensors being external references into this very file.

        The same object at every call: copy it before changing it.

        Raises:
            OnnxFileError: The file is no ONNX model, or not all of one.
        """
        return self._skeleton

    def payload(self, tensor: onnx.TensorProto) -> bytes | None:
        """The little-endian values that the skeleton left in the file for a tensor; else None."""
        stretch = self._borrowed_by(tensor)
        if stretch is None:
            return None
        return self._data[stretch.offset : stretch.offset + stretch.length]

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
        target = Path(target)
        externals = self.external_locations()
        try:
            editing = Editing(self._data, self.skeleton(), edits)
        except WireError as error:
            self._refuse(f"cannot be edited ({error})", error)
        inputs = [self.path, *(external.path for external in externals)]
        with replacing(target, force=force, inputs=inputs, mode_of=self.path) as part:
            if target.parent.samefile(self.path.parent):
                externals = []
            self._refuse_clash(target, externals)
            with part.open("wb", buffering=0) as sink:
                segments = editing.splices.segments(self._data)
                write_segments(self._descriptor, sink.fileno(), segments)
            with copied(externals, target.parent, force=force):
                pass
        return editing.changes

    def _refuse_clash(self, target: Path, externals: list[External]) -> None:
        for external in externals:
            if (target.parent / external.location).resolve() == target.resolve():
                raise FileProblem(f"{target}: the model's external data is called so.")

    @cached_property
    def _skeleton(self) -> onnx.ModelProto:
        try:
            slim = self._scanned.splices.applied(self._data)
            model: onnx.ModelProto = onnx.ModelProto.FromString(slim)
        except CutOffError as error:
            self._refuse(f"not an ONNX model, or cut off ({error})", error)
        except (WireError, DecodeError) as error:
            self._refuse(f"not an ONNX model ({error})", error)
        if not model.HasField("graph") or not model.HasField("ir_version"):
            self._refuse("not an ONNX model (it has no graph)")
        if not model.opset_import and model.ir_version > _LAST_WITHOUT_OPSETS:
            self._refuse("not a whole ONNX model (it names no operator set), perhaps cut off")
        # more mentions than our own references: there may be others, to be looked for
        self._may_refer = slim.count(b"location") > len(self._scanned.borrowed)
        return model

    @cached_property
    def _scanned(self) -> SkeletonScan:
        return SkeletonScan(self._data, self.path.name)

    @cached_property
    def _externals(self) -> list[External]:
        found: dict[str, External] = {}
        if self._may_refer:
            for tensor, _ in all_tensors(self.skeleton()):
                if tensor.data_location == tensor.EXTERNAL and self._borrowed_by(tensor) is None:
                    location = reference(tensor).get("location", "")
                    if location not in found:
                        found[location] = resolve(self.path, location, tensor.name)
        return list(found.values())

    def _borrowed_by(self, tensor: onnx.TensorProto) -> Stretch | None:
        if tensor.data_location != tensor.EXTERNAL:
            return None
        said = reference(tensor)
        if said.get("location") != self.path.name or not said.keys() >= {"offset", "length"}:
            return None
        stretch = Stretch(int(said["offset"]), int(said["length"]))
        return stretch if stretch in self._scanned.borrowed else None

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise OnnxFileError(f"{self.path}: {why}.") from cause
