"""The inputs and outputs of a file, as the manifest of parts lists them."""

from collections.abc import Iterable
from pathlib import Path

import onnx

from modelexport.hierarchy.part_manifest import PartValue
from modelexport.rewriter.container import OnnxContainer


def part_values(path: Path) -> tuple[tuple[PartValue, ...], tuple[PartValue, ...]]:
    """What a file reads, and what it gives."""
    with OnnxContainer.open(path) as container:
        graph = container.skeleton().graph
        initializers = {tensor.name for tensor in graph.initializer}
        inputs = [value for value in graph.input if value.name not in initializers]
        return _described(inputs), _described(graph.output)


def _described(values: Iterable[onnx.ValueInfoProto]) -> tuple[PartValue, ...]:
    return tuple(
        PartValue(
            value.name,
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            tuple(
                dimension.dim_value
                if dimension.HasField("dim_value")
                else dimension.dim_param or None
                for dimension in value.type.tensor_type.shape.dim
            ),
        )
        for value in values
    )
