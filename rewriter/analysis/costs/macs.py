"""Multiply-accumulates of a node, from the shapes of what it reads and gives.

Only products of matrices, convolutions, recurrences and attention are counted, as is usual;
everything else counts as none. Where an extent is not known the count is not either: it is
None, never a guess. So is that of a subgraph that may run any number of times, and of an operator
that nobody here knows.
"""

import math
from collections.abc import Callable

import onnx

from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, ONNX_DOMAINS
from modelexport.rewriter.analysis.costs.shapes import Shapes
from modelexport.rewriter.analysis.costs.surrogates import LIGHT, Attributes, attributes_of


class Macs:
    """Counts.

    Args:
        shapes: Of the model's values.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def of(self, key: NodeKey, node: onnx.NodeProto) -> int | None:
        """How many a node does in one run of the model; None when that is unknown."""
        count = _COUNTS.get(node.op_type)
        if count is None:
            light = node.domain in ONNX_DOMAINS or node.op_type in LIGHT
            return 0 if light else None
        if key.graph != MAIN:
            return None  # a subgraph runs any number of times, a function is called from anywhere
        return count(_Reading(self._shapes, key.graph, node))


class _Reading:
    """The shapes and attributes of one node."""

    def __init__(self, shapes: Shapes, graph: str, node: onnx.NodeProto) -> None:
        self._shapes = shapes
        self._graph = graph
        self._node = node
        self.said: Attributes = attributes_of(node)
        self.standard = node.domain in DEFAULT_DOMAINS

    def has(self, position: int) -> bool:
        return len(self._node.input) > position and bool(self._node.input[position])

    def input(self, position: int) -> tuple[int, ...] | None:
        if not self.has(position):
            return None
        return self._shapes.dims(self._graph, self._node.input[position])

    def output(self, position: int = 0) -> tuple[int, ...] | None:
        if len(self._node.output) <= position or not self._node.output[position]:
            return None
        return self._shapes.dims(self._graph, self._node.output[position])


Count = Callable[[_Reading], int | None]


def _matmul(node: _Reading) -> int | None:
    """Each element of the output is a sum over the extent that both sides share."""
    left, out = node.input(0), node.output()
    if not left or out is None or node.said.get("transBatchA"):
        return None
    inner = left[-2] if node.said.get("transA") and len(left) > 1 else left[-1]
    return math.prod(out) * inner


def _by_bits(node: _Reading) -> int | None:
    out, inner = node.output(), node.said.get("K")
    return None if out is None or inner is None else math.prod(out) * int(inner)


def _conv(weight: int) -> Count:
    """Each element of the output is a sum over one filter: [out, in / groups, *kernel]."""

    def count(node: _Reading) -> int | None:
        filters, out = node.input(weight), node.output()
        return None if not filters or out is None else math.prod(out) * math.prod(filters[1:])

    return count


def _conv_transpose(node: _Reading) -> int | None:
    """Each element of the input is spread over one filter: [in, out / groups, *kernel]."""
    data, filters = node.input(0), node.input(1)
    return None if data is None or not filters else math.prod(data) * math.prod(filters[1:])


def _recurrent(node: _Reading) -> int | None:
    """Each step of each sequence reads all input and all recurrent weights, each direction its own.

    X is [length, batch, width], or [batch, length, width] under `layout`.
    """
    data, weights, recurrences = node.input(0), node.input(1), node.input(2)
    if data is None or weights is None or recurrences is None:
        return None
    return data[0] * data[1] * (math.prod(weights) + math.prod(recurrences))


def _einsum(node: _Reading) -> int | None:
    """One product for each combination of all indices, for two operands."""
    equation = node.said.get("equation", b"").decode().replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) == 1:
        return 0
    extents: dict[str, int] = {}
    for position, term in enumerate(terms):
        dims = node.input(position)
        if dims is None or "." in term or len(term) != len(dims) or len(terms) > 2:
            return None
        for index, extent in zip(term, dims, strict=True):
            extents[index] = max(extent, extents.get(index, 1))
    return math.prod(extents.values())


def _attention(node: _Reading) -> int | None:
    """ONNX's own takes queries, keys and values; the contrib one projects them first."""
    return _scored(node) if node.standard else _projected(_PAST)(node)


def _projected(past: int) -> Count:
    """Input [batch, length, width] and weights [width, queries + keys + values]."""

    def count(node: _Reading) -> int | None:
        data, weights, out = node.input(0), node.input(1), node.output()
        if data is None or weights is None or out is None or node.has(past):
            return None
        batch, length, _ = data
        sizes = node.said.get("qkv_hidden_sizes")
        queries = sizes[0] if sizes else weights[1] // 3
        project = batch * length * math.prod(weights)
        return project + batch * length * length * (queries + out[-1])

    return count


_PAST, _PAST_BEHIND_SCALES = 4, 8


def _scored(node: _Reading) -> int | None:
    """Scores over all keys, and the values summed by them."""
    query, key, value, out = node.input(0), node.input(1), node.input(2), node.output()
    if query is None or key is None or value is None or out is None or node.has(_PAST):
        return None
    batch = query[0]
    length, keys = query[-2], key[-2]
    heads = query[1] if len(query) == 4 else 1
    return batch * heads * length * keys * query[-1] + math.prod(out) * keys


def _multi_head(node: _Reading) -> int | None:
    """Queries [batch, length, width]; keys and values the same, or by heads."""
    query, key, out = node.input(0), node.input(1), node.output()
    packed = query is None or key is None or len(query) != 3 or len(key) not in {3, 4}
    if packed or out is None or node.has(6):  # past keys
        return None
    assert query is not None
    assert key is not None
    keys = key[-2]
    return (math.prod(query) + math.prod(out)) * keys


_COUNTS: dict[str, Count] = {
    **dict.fromkeys(("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "QGemm"), _matmul),
    **dict.fromkeys(("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"), _matmul),
    "QLinearMatMul": _matmul,
    **dict.fromkeys(("MatMulNBits", "MatMulBnb4"), _by_bits),
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger"), _conv(1)),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), _recurrent),
    "Einsum": _einsum,
    "Attention": _attention,
    "QAttention": _projected(_PAST_BEHIND_SCALES),
    "MultiHeadAttention": _multi_head,
    "DeformConv": _conv(1),
    "NhwcFusedConv": lambda _: None,  # filters in another order
    "GroupQueryAttention": lambda _: None,  # keys grow from run to run
}
