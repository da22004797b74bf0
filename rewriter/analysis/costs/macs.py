"""Multiply-accumulates of a node, from the shapes of its inputs and outputs.

Matrix products, convolutions, recurrences and attention are counted, as is usual; every other
known operator counts as 0. The count is never a guess. It is None

- where a dimension is unknown,
- in subgraphs and functions, which may run any number of times, and
- for unknown operators.
"""

import math
from collections.abc import Callable

import onnx

from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, ONNX_DOMAINS
from modelexport.rewriter.analysis.costs.shapes import Shapes
from modelexport.rewriter.analysis.costs.surrogates import (
    LIGHT,
    Attributes,
    attributes_of,
    is_list_of_integers,
)


class MacCounter:
    """Counts the multiply-accumulates of nodes.

    Args:
        shapes: Shapes of the model's values.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    @staticmethod
    def is_free(node: onnx.NodeProto) -> bool:
        """Whether the operator of a node counts as 0, whatever its shapes are."""
        light = node.domain in ONNX_DOMAINS or node.op_type in LIGHT
        return light and node.op_type not in _COUNTERS

    def count(self, key: NodeKey, node: onnx.NodeProto) -> int | None:
        """Multiply-accumulates of a node in one run of the model; None when unknown."""
        counter = _COUNTERS.get(node.op_type)
        if counter is None:
            return 0 if self.is_free(node) else None
        if key.graph != MAIN:
            return None  # a subgraph runs any number of times, a function is called from anywhere
        return counter(_NodeShapes(self._shapes, key.graph, node))


class _NodeShapes:
    """The shapes of a node's inputs and outputs, and its attributes."""

    def __init__(self, shapes: Shapes, graph: str, node: onnx.NodeProto) -> None:
        self._shapes = shapes
        self._graph = graph
        self._inputs, self._outputs = node.input, node.output
        self.attributes: Attributes = attributes_of(node)
        self.from_onnx = node.domain in DEFAULT_DOMAINS

    def has_input(self, position: int) -> bool:
        return len(self._inputs) > position and bool(self._inputs[position])

    def input(self, position: int) -> tuple[int, ...] | None:
        name = self._inputs[position] if len(self._inputs) > position else ""
        return self._shapes.dims(self._graph, name) if name else None

    def output(self, position: int = 0) -> tuple[int, ...] | None:
        name = self._outputs[position] if len(self._outputs) > position else ""
        return self._shapes.dims(self._graph, name) if name else None


_Counter = Callable[[_NodeShapes], int | None]


def _matmul(node: _NodeShapes) -> int | None:
    """Each element of the output is a sum over the dimension that both inputs share."""
    left, out = node.input(0), node.output()
    if not left or out is None or node.attributes.get("transBatchA"):
        return None
    inner = left[-2] if node.attributes.get("transA") and len(left) > 1 else left[-1]
    return math.prod(out) * inner


def _matmul_packed(node: _NodeShapes) -> int | None:
    """The weight is packed, so that the inner dimension is an attribute."""
    out, inner = node.output(), node.attributes.get("K")
    return math.prod(out) * inner if out is not None and isinstance(inner, int) else None


def _conv(weight: int) -> _Counter:
    """Each element of the output is a sum over one filter: [out, in / groups, *kernel]."""

    def count(node: _NodeShapes) -> int | None:
        filters, out = node.input(weight), node.output()
        return None if not filters or out is None else math.prod(out) * math.prod(filters[1:])

    return count


def _conv_transpose(node: _NodeShapes) -> int | None:
    """Each element of the input is spread over one filter: [in, out / groups, *kernel]."""
    data, filters = node.input(0), node.input(1)
    return None if data is None or not filters else math.prod(data) * math.prod(filters[1:])


def _recurrent(node: _NodeShapes) -> int | None:
    """Each step of each sequence multiplies all input and all recurrent weights of each direction.

    X is [length, batch, width], or [batch, length, width] under `layout`.
    """
    data, weights, recurrences = node.input(0), node.input(1), node.input(2)
    if data is None or weights is None or recurrences is None or len(data) != 3:
        return None
    return data[0] * data[1] * (math.prod(weights) + math.prod(recurrences))


def _einsum(node: _NodeShapes) -> int | None:
    """One product for each combination of all indices, for two operands."""
    equation = node.attributes.get("equation", b"")
    if not isinstance(equation, bytes) or not equation.isascii():
        return None
    equation = equation.decode().replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) == 1:
        return 0
    sizes: dict[str, int] = {}
    for position, term in enumerate(terms):
        dims = node.input(position)
        if dims is None or "." in term or len(term) != len(dims) or len(terms) > 2:
            return None
        for index, size in zip(term, dims, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    return math.prod(sizes.values())


_PAST, _PAST_OF_QATTENTION = 4, 8
"""Position of the input with keys and values of earlier runs, whose number is unknown."""
_PAST_OF_MULTI_HEAD = 6


def _attention(node: _NodeShapes) -> int | None:
    """ONNX's operator takes queries, keys and values; the contrib one projects its input first."""
    return _attention_scores(node) if node.from_onnx else _projected_attention(_PAST)(node)


def _projected_attention(past: int) -> _Counter:
    """Input [batch, length, width] and weights [width, queries + keys + values]."""

    def count(node: _NodeShapes) -> int | None:
        data, weights, out = node.input(0), node.input(1), node.output()
        if data is None or weights is None or not out or node.has_input(past):
            return None
        widths = node.attributes.get("qkv_hidden_sizes") or [weights[-1] // 3] if weights else []
        if len(data) != 3 or len(weights) != 2 or not is_list_of_integers(widths):
            return None
        batch, length, _ = data
        query_width = widths[0]
        projection = batch * length * math.prod(weights)
        return projection + batch * length * length * (query_width + out[-1])

    return count


def _attention_scores(node: _NodeShapes) -> int | None:
    """The scores of all keys, and the sums of the values that they weigh."""
    query, key, value, out = node.input(0), node.input(1), node.input(2), node.output()
    if query is None or key is None or value is None or out is None or node.has_input(_PAST):
        return None
    if not {len(query), len(key)} <= {3, 4}:
        return None
    batch = query[0]
    length, keys = query[-2], key[-2]
    heads = query[1] if len(query) == 4 else 1
    return batch * heads * length * keys * query[-1] + math.prod(out) * keys


def _multi_head_attention(node: _NodeShapes) -> int | None:
    """Queries [batch, length, width]; keys and values the same, or by heads."""
    query, key, out = node.input(0), node.input(1), node.output()
    if query is None or key is None or out is None or node.has_input(_PAST_OF_MULTI_HEAD):
        return None
    if len(query) != 3 or len(key) not in {3, 4}:
        return None  # queries, keys and values packed into one
    keys = key[-2]
    return (math.prod(query) + math.prod(out)) * keys


def _unknown(_: _NodeShapes) -> int | None:
    """The shapes do not say."""
    return None


_COUNTERS: dict[str, _Counter] = {
    **dict.fromkeys(("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "QGemm"), _matmul),
    **dict.fromkeys(("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), _matmul),
    "QLinearMatMul": _matmul,
    **dict.fromkeys(("MatMulNBits", "MatMulBnb4"), _matmul_packed),
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger"), _conv(1)),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    "Einsum": _einsum,
    "Attention": _attention,
    "QAttention": _projected_attention(_PAST_OF_QATTENTION),
    "MultiHeadAttention": _multi_head_attention,
    "DeformConv": _conv(1),
    "NhwcFusedConv": _unknown,  # its filters are in another order
    "GroupQueryAttention": _unknown,  # keys grow from run to run
}
