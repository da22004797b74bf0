"""The skeleton of a file: its model with big tensors as references into the file."""

import os
from typing import Any, NamedTuple

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto
from onnx import StringStringEntryProto as Entry
from onnx import TrainingInfoProto as TrainingInfo

from modelexport.hierarchy.graph_paths import SMALL_TENSOR_BYTES
from modelexport.rewriter.container.splicing import Splices
from modelexport.rewriter.container.wire import (
    LENGTH,
    VARINT,
    Buffer,
    Field,
    WireError,
    encode_field,
    encode_number,
    fields,
    varint,
)

_DEEPEST = 100
"""Nesting beyond which protobuf refuses a message too."""

HOLDERS: dict[Any, dict[int, Any]] = {
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
"""Which messages hold tensors, and in which fields. Sparse ones stay in the skeleton."""

_OTHER_VALUES = {
    TensorProto.INT32_DATA_FIELD_NUMBER,
    TensorProto.STRING_DATA_FIELD_NUMBER,
    TensorProto.INT64_DATA_FIELD_NUMBER,
    TensorProto.UINT64_DATA_FIELD_NUMBER,
    TensorProto.EXTERNAL_DATA_FIELD_NUMBER,
    TensorProto.DATA_LOCATION_FIELD_NUMBER,
}
"""Fields for values that are no little-endian array on the wire, or elsewhere already."""

_ARRAYS = {
    TensorProto.FLOAT_DATA_FIELD_NUMBER: {TensorProto.FLOAT, TensorProto.COMPLEX64},
    TensorProto.DOUBLE_DATA_FIELD_NUMBER: {TensorProto.DOUBLE, TensorProto.COMPLEX128},
    TensorProto.RAW_DATA_FIELD_NUMBER: set(TensorProto.DataType.values()) - {TensorProto.STRING},
}
"""Fields that are one, for tensors of these types."""


class Stretch(NamedTuple):
    """Where the values of a tensor stand in the file."""

    offset: int
    length: int


class SkeletonScan:
    """Finds the big tensors of a file.

    Args:
        data: The file.
        location: The name by which the references call the file.

    Attributes:
        splices: What makes the skeleton of the file.
        borrowed: The values that the skeleton leaves in the file.

    Raises:
        WireError: The file is no ONNX model.
    """

    def __init__(self, data: Buffer, location: str) -> None:
        self._data = data
        self._location = location
        self.splices = Splices()
        self.borrowed: set[Stretch] = set()
        self._scan(ModelProto, 0, len(data), _DEEPEST)

    def _scan(self, kind: Any, start: int, end: int, deeper: int) -> None:
        if not deeper:
            raise WireError("its messages are nested too deeply")
        inside = HOLDERS[kind]
        merged = kind is AttributeProto and self._has_two_tensors(start, end)
        for field in fields(self._data, start, end):
            held = inside.get(field.number)
            if held is None or field.wire_type != LENGTH:
                continue
            if field.end - field.payload < SMALL_TENSOR_BYTES:
                continue
            with self.splices.inside(field):
                if held is not TensorProto:
                    self._scan(held, field.payload, field.end, deeper - 1)
                elif not (merged and field.number == AttributeProto.T_FIELD_NUMBER):
                    self._tensor(field)

    def _has_two_tensors(self, start: int, end: int) -> bool:
        """Whether protobuf would merge two values of a field that is there once."""
        numbers = [field.number for field in fields(self._data, start, end)]
        return numbers.count(AttributeProto.T_FIELD_NUMBER) > 1

    def _tensor(self, tensor: Field) -> None:
        found = self._values(tensor)
        if not found:
            return
        *empty, values = found
        for before in empty:
            self.splices.remove(before.start, before.end)
        stretch = Stretch(values.payload, values.end - values.payload)
        self.borrowed.add(stretch)
        self.splices.replace(values.start, values.end, self._reference(stretch))

    def _values(self, tensor: Field) -> list[Field]:
        """The field with a tensor's values, if they are one array and a big one.

        Empty ones may stand before it: some writers put them there, and the last one counts.
        """
        arrays: list[Field] = []
        kind = 0
        for field in fields(self._data, tensor.payload, tensor.end):
            if field.number in _OTHER_VALUES:
                return []
            if field.number in _ARRAYS:
                arrays.append(field)
            elif field.number == TensorProto.DATA_TYPE_FIELD_NUMBER and field.wire_type == VARINT:
                kind, _ = varint(self._data, field.payload, field.end)
        if not arrays:
            return []
        *before, values = arrays
        if any(a.number != values.number or a.end > a.payload for a in before):
            return []
        if values.wire_type != LENGTH or kind not in _ARRAYS[values.number]:
            return []
        return arrays if values.end - values.payload >= SMALL_TENSOR_BYTES else []

    def _reference(self, stretch: Stretch) -> bytes:
        entries = {
            b"location": os.fsencode(self._location),
            b"offset": b"%d" % stretch.offset,
            b"length": b"%d" % stretch.length,
        }
        return b"".join(
            encode_field(TensorProto.EXTERNAL_DATA_FIELD_NUMBER, _entry(key, value))
            for key, value in entries.items()
        ) + encode_number(TensorProto.DATA_LOCATION_FIELD_NUMBER, TensorProto.EXTERNAL)


def _entry(key: bytes, value: bytes) -> bytes:
    return encode_field(Entry.KEY_FIELD_NUMBER, key) + encode_field(Entry.VALUE_FIELD_NUMBER, value)
