"""The scale of a weight of integers where the operator that reads it does not tell it by itself.

Products of integers give integers: what they stand for is told by a factor after them. Operators
of onnxruntime that take a scale for each weight have it at a place of their own.
"""

from modelexport.rewriter.comparison.quantisation_scales import Scale
from modelexport.rewriter.extraction.graph_parts import MainGraph

_SCALE_INPUTS = {
    "DynamicQuantizeLSTM": {1: (8, 9), 2: (10, 11)},
    "DynamicQuantizeMatMul": {1: (2, 3)},
    "MatMulIntegerToFloat": {1: (3, 5)},
    "QAttention": {1: (4, 7)},
}
"""For each operator: which input is a weight, and which ones are its scale and zero point."""

_INTEGER_PRODUCTS = {"MatMulInteger", "ConvInteger"}
"""Operators that multiply integers: inputs, weights, and the zero points of both."""

_WEIGHT, _WEIGHT_ZERO_POINT = 1, 3
"""Inputs of these."""


def integer_scale(graph: MainGraph, position: int, name: str) -> Scale | None:
    """Names of the scale and the zero point of a weight; None where the node has none.

    Args:
        graph: The main graph.
        position: Position of a node that reads the weight.
        name: The weight.
    """
    node = graph.nodes[position]
    inputs = dict(enumerate(node.input))
    index = next((number for number, read in inputs.items() if read == name), None)
    if node.op_type in _INTEGER_PRODUCTS and index == _WEIGHT:
        factor = _factor_behind(graph, position)
        return None if factor is None else (factor, inputs.get(_WEIGHT_ZERO_POINT, ""))
    if index is None or index not in _SCALE_INPUTS.get(node.op_type, {}):
        return None
    scale, zero_point = _SCALE_INPUTS[node.op_type][index]
    return (inputs[scale], inputs.get(zero_point, "")) if inputs.get(scale) else None


def _factor_behind(graph: MainGraph, position: int) -> str | None:
    """The stored factor by which a product is multiplied: a part of a product of two scales."""
    value = next(iter(graph.nodes[position].output), "")
    for _ in range(2):  # a cast, then the factor
        readers = [graph.nodes[n] for n in graph.consumers.get(value, ())]
        factors = [n for node in readers if node.op_type == "Mul" for n in node.input if n != value]
        for factor in factors:
            source = graph.producer.get(factor)
            names = [factor] if source is None else graph.nodes[source].input
            stored: list[str] = [name for name in names if name in graph.initializers]
            if len(stored) == 1:
                return stored[0]
        casts = [node for node in readers if node.op_type == "Cast" and node.output]
        if not casts:
            return None
        value = casts[0].output[0]
    return None
