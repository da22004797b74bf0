"""The skeleton of a file: its model, with large tensors as references into the file."""

import os
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx import StringStringEntryProto as Entry
from onnx import TrainingInfoProto as TrainingInfo

from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.rewriter.container.scanned_file import ScannedFile
from modelexport.rewriter.container.splicing import ByteSpan, Splices
from modelexport.support.protobuf_wire import (
    LENGTH,
    VARINT,
    Field,
    WireError,
    decode_varint,
    encode_field,
    encode_number,
)

_MAX_DEPTH = 100
"""Protobuf refuses messages that are nested deeper."""

CHILD_MESSAGES: dict[Any, dict[int, Any]] = {
    ModelProto: {
        ModelProto.GRAPH_FIELD_NUMBER: GraphProto,
        ModelProto.FUNCTIONS_FIELD_NUMBER: FunctionProto,
        ModelProto.TRAINING_INFO_FIELD_NUMBER: TrainingInfo,
    },
    TrainingInfo: {
        TrainingInfo.INITIALIZATION_FIELD_NUMBER: GraphProto,
        TrainingInfo.ALGORITHM_FIELD_NUMBER: GraphProto,
    },
    FunctionProto: {
        FunctionProto.NODE_FIELD_NUMBER: NodeProto,
        FunctionProto.ATTRIBUTE_PROTO_FIELD_NUMBER: AttributeProto,
    },
    GraphProto: {
        GraphProto.NODE_FIELD_NUMBER: NodeProto,
        GraphProto.INITIALIZER_FIELD_NUMBER: TensorProto,
    },
    NodeProto: {NodeProto.ATTRIBUTE_FIELD_NUMBER: AttributeProto},
    AttributeProto: {
        AttributeProto.T_FIELD_NUMBER: TensorProto,
        AttributeProto.TENSORS_FIELD_NUMBER: TensorProto,
        AttributeProto.G_FIELD_NUMBER: GraphProto,
        AttributeProto.GRAPHS_FIELD_NUMBER: GraphProto,
    },
}
"""By message type: the field numbers under which tensors are found, and the type of each field.
Sparse tensors stay in the skeleton."""

_FIELDS_OF_OTHER_VALUES = {
    TensorProto.INT32_DATA_FIELD_NUMBER,
    TensorProto.STRING_DATA_FIELD_NUMBER,
    TensorProto.INT64_DATA_FIELD_NUMBER,
    TensorProto.UINT64_DATA_FIELD_NUMBER,
    TensorProto.EXTERNAL_DATA_FIELD_NUMBER,
    TensorProto.DATA_LOCATION_FIELD_NUMBER,
}
"""Fields whose values are not a little-endian array in this file."""

_ARRAY_FIELDS = {
    TensorProto.FLOAT_DATA_FIELD_NUMBER: {TensorProto.FLOAT, TensorProto.COMPLEX64},
    TensorProto.DOUBLE_DATA_FIELD_NUMBER: {TensorProto.DOUBLE, TensorProto.COMPLEX128},
    TensorProto.RAW_DATA_FIELD_NUMBER: set(TensorProto.DataType.values()) - {TensorProto.STRING},
}
"""Fields whose values are a little-endian array, for tensors of these types."""


class SkeletonScan:
    """Finds the large tensors of a file.

    Args:
        file: The file.
        location: The file name that the references use.

    Attributes:
        splices: What turns the file into its skeleton.
        borrowed: Where the values are that the skeleton leaves in the file.

    Raises:
        WireError: The file is not an ONNX model.
    """

    def __init__(self, file: ScannedFile, location: str) -> None:
        self._file = file
        self._data = file.data
        self._location = location
        self.splices = Splices()
        self.borrowed: set[ByteSpan] = set()
        self._scan(ModelProto, 0, file.size, _MAX_DEPTH)
        file.load(file.size)

    def _scan(self, kind: Any, start: int, end: int, depth_left: int) -> None:
        if not depth_left:
            raise WireError("its messages are nested too deeply")
        children = CHILD_MESSAGES[kind]
        merged = kind is AttributeProto and self._has_two_tensors(start, end)
        for field in self._file.fields(start, end, min_bytes=MIN_WEIGHT_BYTES):
            child = children.get(field.number)
            if child is None or field.wire_type != LENGTH:
                continue
            if field.end - field.payload < MIN_WEIGHT_BYTES:
                continue
            with self.splices.inside(field):
                if child is not TensorProto:
                    self._scan(child, field.payload, field.end, depth_left - 1)
                elif not (merged and field.number == AttributeProto.T_FIELD_NUMBER):
                    self._scan_tensor(field)

    def _has_two_tensors(self, start: int, end: int) -> bool:
        """Whether an attribute has its one tensor twice: protobuf would merge the two."""
        numbers = [field.number for field in self._file.fields(start, end)]
        return numbers.count(AttributeProto.T_FIELD_NUMBER) > 1

    def _scan_tensor(self, tensor: Field) -> None:
        arrays = self._array_fields(tensor)
        if not arrays:
            return
        *empty, values = arrays
        for field in empty:
            self.splices.remove(field.start, field.end)
        span = ByteSpan(values.payload, values.end - values.payload)
        self.borrowed.add(span)
        self.splices.replace(values.start, values.end, self._encode_reference(span))

    def _array_fields(self, tensor: Field) -> list[Field]:
        """The fields with a tensor's values, if they are one large array; else nothing.

        Some writers put empty values before the real ones. The last field counts.
        """
        arrays, data_type, is_array = self._read_tensor(tensor)
        if is_array and _is_one_array(arrays, data_type):
            return arrays
        for field in arrays:
            self._file.fill(field.payload, field.end)
        return []

    def _read_tensor(self, tensor: Field) -> tuple[list[Field], int, bool]:
        """The fields that may be a tensor's array, its type, and whether it has no others.

        The values are skipped.
        """
        arrays: list[Field] = []
        data_type = 0
        is_array = True
        for field in self._file.fields(tensor.payload, tensor.end):
            if field.number in _FIELDS_OF_OTHER_VALUES:
                is_array = False
            elif field.number in _ARRAY_FIELDS:
                arrays.append(field)
                self._file.skip(field.payload, field.end)
            elif field.number == TensorProto.DATA_TYPE_FIELD_NUMBER and field.wire_type == VARINT:
                data_type, _ = decode_varint(self._data, field.payload, field.end)
        return arrays, data_type, is_array

    def _encode_reference(self, span: ByteSpan) -> bytes:
        entries = {
            b"location": os.fsencode(self._location),
            b"offset": b"%d" % span.start,
            b"length": b"%d" % span.length,
        }
        return b"".join(
            encode_field(TensorProto.EXTERNAL_DATA_FIELD_NUMBER, _encode_entry(key, value))
            for key, value in entries.items()
        ) + encode_number(TensorProto.DATA_LOCATION_FIELD_NUMBER, TensorProto.EXTERNAL)


def _encode_entry(key: bytes, value: bytes) -> bytes:
    return encode_field(Entry.KEY_FIELD_NUMBER, key) + encode_field(Entry.VALUE_FIELD_NUMBER, value)


def _is_one_array(arrays: list[Field], data_type: int) -> bool:
    """Whether the last of these fields is a large array of a type, and the others are empty."""
    if not arrays:
        return False
    *before, values = arrays
    if any(a.number != values.number or a.end > a.payload for a in before):
        return False
    if values.wire_type != LENGTH or data_type not in _ARRAY_FIELDS[values.number]:
        return False
    return values.end - values.payload >= MIN_WEIGHT_BYTES
