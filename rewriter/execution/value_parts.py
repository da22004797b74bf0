"""Dividing the values of a graph into parts that take about equally much memory."""

import math

import onnx

from modelexport.hierarchy.subgraphs import computed_names
from modelexport.support.numerals import MOST_ELEMENTS

_OPEN_EXTENT = 8
"""Assumed size of a dimension that the file leaves open."""


def value_parts(graph: onnx.GraphProto, count: int) -> list[list[str]]:
    """Names of what the nodes of a graph compute, in parts of about equally many elements.

    A value without a declared shape counts as the mean of the others.

    Args:
        graph: The graph. Its subgraphs are left out.
        count: Number of parts, at most: a value is never divided.

    Returns:
        The parts, in the order of the nodes; none without values.
    """
    names = computed_names(graph)
    if count == 1:
        return [names] if names else []
    declared = _declared_elements(graph)
    known = [declared[name] for name in names if name in declared]
    mean = sum(known) / len(known) if any(known) else 1
    sizes = [declared.get(name, mean) for name in names]
    total, before = sum(sizes) or 1, 0.0
    parts: dict[int, list[str]] = {}
    for name, size in zip(names, sizes, strict=True):
        parts.setdefault(int((before + size / 2) / total * count), []).append(name)
        before += size
    return list(parts.values())


def _declared_elements(graph: onnx.GraphProto) -> dict[str, int]:
    """Number of elements of each value whose shape is declared."""
    elements: dict[str, int] = {}
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape"):
            extents = (
                dim.dim_value if dim.HasField("dim_value") else _OPEN_EXTENT
                for dim in tensor.shape.dim
            )
            elements[value.name] = min(math.prod(extents), MOST_ELEMENTS)
    return elements
