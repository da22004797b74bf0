"""An ONNX file whose weights are read where they are needed."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from modelexport.errors import OnnxFileError
from modelexport.rewriter.container.budgets import exceeded_budget
from modelexport.rewriter.container.copying import write_segments
from modelexport.rewriter.container.editing import splice_edits
from modelexport.rewriter.container.edits import Changes, Edits
from modelexport.rewriter.container.external_data import (
    ExternalFile,
    external_bytes,
    is_number,
    resolve,
    write_beside,
)
from modelexport.rewriter.container.part_writing import PartFiles, move_external_data
from modelexport.rewriter.container.scanned_file import ScannedFile
from modelexport.rewriter.container.skeleton_scan import SkeletonScan
from modelexport.rewriter.container.skeleton_writing import skeleton_segments
from modelexport.rewriter.container.splicing import ByteSpan, Segment
from modelexport.rewriter.container.tensor_values import (
    array_in_bytes,
    array_in_tensor,
    is_readable,
)
from modelexport.rewriter.container.tensor_walk import external_reference, walk_tensors
from modelexport.rewriter.container.text_faults import find_broken_text
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error
from modelexport.support.error_texts import first_line
from modelexport.support.protobuf_wire import CutOffError, WireError

_PROTOBUF_LIMIT = 2**31 - 1
_LAST_IR_WITHOUT_OPSETS = 2
"""The last IR version in which a model need not name its operator sets."""


class OnnxContainer:
    """An ONNX file whose weights stay in the file. Use `OnnxContainer.open` to make one.

    Args:
        file: The open file.
        home: The folder in which it will be, with its external data; by default it is there. It
            has the folder of the file inside.

    Attributes:
        path: Its path; with a home, the path that it will have.
        present_path: Where it is now.

    Raises:
        OnnxFileError: The file is not an ONNX model, or is cut off.
    """

    def __init__(self, file: ScannedFile, home: Path | None = None) -> None:
        home = home or file.path.parent
        self.path = home / file.path.name
        self.present_path = file.path
        self._name = os.path.relpath(file.path, home)
        self._file = file
        self._data = file.data
        if not file.size:
            self._refuse("an empty file, not an ONNX model")
        try:
            scan = SkeletonScan(file, self._name)
            skeleton = scan.splices.applied(file.data)
        except CutOffError as error:
            self._refuse(f"cut off, or not an ONNX model ({error})", error)
        except WireError as error:
            self._refuse(f"not an ONNX model ({error})", error)
        self._borrowed = scan.borrowed
        # every reference spells "location", so only a model with more of them than we put in
        # can refer to other files
        self._may_have_external_data = skeleton.count(b"location") > len(scan.borrowed)
        self._model = self._parse(skeleton)

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, home: Path | None = None) -> Iterator["OnnxContainer"]:
        """Open a file and read its skeleton. The file must not change until the body ends.

        Args:
            path: The file.
            home: The folder in which it will be, with its external data; by default it is there.

        Raises:
            OnnxFileError: The file cannot be read, is not an ONNX model, is cut off, or is changed
                meanwhile.
        """
        with ScannedFile.open(Path(path)) as file:
            container = cls(file, home)
            try:
                yield container
            except (*DECODE_ERRORS, TypeError, AttributeError) as error:
                container._explain(error)
                raise

    def skeleton(self) -> onnx.ModelProto:
        """The model, with its large tensors as external references into this file.

        Every call returns the same object: copy it before you change it.
        """
        return self._model

    def payload(self, tensor: onnx.TensorProto) -> bytes | None:
        """The little-endian values of a tensor that the skeleton left in the file; else None."""
        if tensor.data_location != tensor.EXTERNAL:
            return None
        span = self._borrowed_span(tensor)
        return None if span is None else self._file.read(*span).tobytes()

    def array(self, tensor: onnx.TensorProto) -> npt.NDArray[Any] | None:
        """The values of an initializer; None if numpy cannot hold them.

        Raises:
            OnnxFileError: The values do not fit the shape, or are in a file that is missing or
                too short.
        """
        if not is_readable(tensor):
            return None
        try:
            return self._array(tensor)
        except (ValueError, TypeError) as error:
            self._refuse(f"tensor {tensor.name!r} cannot be read ({first_line(error)})", error)

    def _array(self, tensor: onnx.TensorProto) -> npt.NDArray[Any]:
        if tensor.data_location != tensor.EXTERNAL:
            return array_in_tensor(tensor)
        span = self._borrowed_span(tensor)
        if span is None:
            return array_in_bytes(tensor, external_bytes(self.path, tensor), self.path)
        return array_in_bytes(tensor, self._file.read(*span).data, self.path)

    def external_files(self) -> list[ExternalFile]:
        """The external data files that the model refers to, each once.

        Raises:
            OnnxFileError: One of them is outside the model's folder.
        """
        return self._external_files

    def write(self, target: str | Path, edits: Edits, *, force: bool = False) -> Changes:
        """Write a copy of the file with some metadata changed.

        Args:
            target: Where it goes. In another folder, external data is copied beside it.
            edits: What to change.
            force: Whether existing files may be overwritten. The file itself never is.

        Returns:
            What was changed.

        Raises:
            FileProblem: The target exists, is an input or cannot be written.
            OnnxFileError: The file cannot be edited in a way that stripping can undo.
            ValueError: An edit is for a node that the file does not have.
        """
        try:
            splices, changes = splice_edits(self._data, self.skeleton(), edits)
        except WireError as error:
            self._refuse(f"cannot be edited ({error})", error)
        self._write_segments(target, splices.segments(self._data), force=force)
        return changes

    def write_model(
        self, target: str | Path, model: onnx.ModelProto, *, force: bool = False
    ) -> None:
        """Write a changed copy of the skeleton; its weights are copied from the file.

        Args:
            target: Where it goes. In another folder, external data is copied beside it.
            model: The changed copy.
            force: Whether existing files may be overwritten. The file itself never is.

        Raises:
            FileProblem: The target exists, is an input or cannot be written.
        """
        segments = skeleton_segments(model.SerializeToString(), self._borrowed_span)
        self._write_segments(target, segments, force=force)

    def write_part(
        self,
        target: str | Path,
        model: onnx.ModelProto,
        *,
        home: Path | None = None,
        force: bool = False,
    ) -> list[Path]:
        """Write a part of the skeleton; no weights are copied but those of the part.

        Args:
            target: Where it goes. In another folder, the part's external data goes into one file
                beside it: the target's name with `.data` at its end.
            model: The part. In another folder, the places of its external data are changed.
            home: The folder where the target will be in the end; by default it stays.
            force: Whether existing files may be overwritten in that folder. The file itself never
                is.

        Returns:
            The files that were written.

        Raises:
            FileProblem: The target exists, is an input or cannot be written.
            OnnxFileError: External data is cut off.
        """
        target = Path(target)
        external = [
            tensor
            for tensor, _ in walk_tensors(model)
            if tensor.data_location == tensor.EXTERNAL and self._borrowed_span(tensor) is None
        ]
        inputs = [self.path, *(file.path for file in self.external_files())]
        files = PartFiles.of(target, home or target.parent, self.path, external=bool(external))
        files.check(inputs, force=force)
        with files.open(inputs, force=force) as (part, data):
            if data is not None:
                move_external_data(external, self.path, data, files.data_name)
            segments = skeleton_segments(model.SerializeToString(), self._borrowed_span)
            with part.open("wb", buffering=0) as sink:
                self._write_to(sink.fileno(), segments)
        return files.paths

    def _write_segments(
        self, target: str | Path, segments: Iterable[Segment], *, force: bool
    ) -> None:
        write_beside(
            Path(target),
            self.path,
            lambda sink: self._write_to(sink, segments),
            self.external_files(),
            force=force,
        )
        self._file.settle()

    def _write_to(self, sink: int, segments: Iterable[Segment]) -> None:
        try:
            write_segments(self._file.descriptor, sink, segments)
        except EOFError:
            self._file.refuse_shorter()
        self._file.check_unchanged()

    def _parse(self, skeleton: bytes) -> onnx.ModelProto:
        if len(skeleton) > _PROTOBUF_LIMIT:
            self._refuse("more than 2 GiB of it are not plain tensors, and protobuf cannot read it")
        try:
            model: onnx.ModelProto = onnx.ModelProto.FromString(skeleton)
        except DecodeError as error:
            self._refuse(f"not an ONNX model ({error})", error)
        if not model.HasField("graph") or not model.HasField("ir_version"):
            self._refuse("not an ONNX model, or cut off (it has no graph or no IR version)")
        if not model.opset_import and model.ir_version > _LAST_IR_WITHOUT_OPSETS:
            self._refuse("cut off, or not an ONNX model (it names no operator set)")
        try:
            if reason := exceeded_budget(model):
                self._refuse(reason)
        except TypeError as error:
            self._refuse(f"its {find_broken_text(model)} is not UTF-8 text", error)
        return model

    @cached_property
    def _external_files(self) -> list[ExternalFile]:
        files: dict[str, ExternalFile] = {}
        for tensor, _ in walk_tensors(self._model) if self._may_have_external_data else ():
            if tensor.data_location != tensor.EXTERNAL or self._borrowed_span(tensor) is not None:
                continue
            location = external_reference(tensor).get("location", "")
            if location not in files:
                files[location] = resolve(self.path, location, tensor.name)
        return list(files.values())

    def _borrowed_span(self, tensor: onnx.TensorProto) -> ByteSpan | None:
        """Where in this file a tensor's values are, if the skeleton left them here."""
        reference = external_reference(tensor)
        numbers = reference.get("offset", ""), reference.get("length", "")
        if reference.get("location") != self._name or not all(map(is_number, numbers)):
            return None
        span = ByteSpan(*map(int, numbers))
        return span if span in self._borrowed else None

    def _explain(self, error: Exception) -> None:
        """Raise the error of a file whose text is broken, if that is why an error happened."""
        if isinstance(error, msgspec.DecodeError):
            self._refuse(f"one of its entries is damaged ({explain_decode_error(error)})", error)
        if place := find_broken_text(self._model):
            self._refuse(f"its {place} is not UTF-8 text", error)
        if isinstance(error, UnicodeDecodeError):
            self._refuse(f"the bytes {error.object[:20]!r} are text that is not UTF-8", error)

    def _refuse(self, reason: str, cause: Exception | None = None) -> NoReturn:
        raise OnnxFileError(f"{self.path}: {reason}.") from cause
