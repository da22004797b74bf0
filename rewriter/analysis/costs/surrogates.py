"""Contrib operators as operators of ONNX that give the same shapes, for onnx's shape inference.

onnx infers nothing behind an operator that it does not know. What optimisers and quantisers put
into a graph is known by its definition, though: a fused normalisation gives the shape of its
input, a fused product that of the product. So a copy of the graph, used for nothing else, gets
stand-ins from which the shapes follow. What has no stand-in stays, and what is behind it unknown.
"""

from collections.abc import Callable, Iterator
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from modelexport.hierarchy.opsets import DEFAULT_DOMAINS

SAME_SHAPE = frozenset(
    {
        *("SkipLayerNormalization", "SimplifiedLayerNormalization", "FastGelu", "BiasGelu"),
        *("SkipSimplifiedLayerNormalization", "Gelu", "QuickGelu", "BiasSoftmax", "BiasAdd"),
        *("RotaryEmbedding", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "GroupNorm"),
        *("SkipGroupNorm", "BiasDropout", "Inverse"),
    }
)
"""Contrib operators whose first output has the shape of their first input."""

_MOVED = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators that stand in a contrib domain as they do in ONNX's own."""

_GEMM = {"alpha", "beta", "transA", "transB"}
_CONV = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}
_THREE = 3

Attributes = dict[str, Any]


def attributes_of(node: NodeProto) -> Attributes:
    """The attributes of a node as Python values; subgraphs are left out."""
    kept = (a for a in node.attribute if not a.HasField("g") and not a.graphs)
    return {a.name: helper.get_attribute_value(a) for a in kept if not a.ref_attr_name}


def with_surrogates(model: onnx.ModelProto) -> None:
    """Replace contrib operators in the main graph of a model, which is used for shapes alone."""
    shapes = {w.name: tuple(w.dims) for w in model.graph.initializer}
    nodes = [made for node in model.graph.node for made in _surrogate(node, shapes, model)]
    messages = [node.SerializeToString() for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(NodeProto.FromString(message) for message in messages)


def _surrogate(
    node: NodeProto, shapes: dict[str, tuple[int, ...]], model: onnx.ModelProto
) -> Iterator[NodeProto]:
    contrib = node.domain not in DEFAULT_DOMAINS
    if node.op_type in SAME_SHAPE and (contrib or node.op_type == "SimplifiedLayerNormalization"):
        yield helper.make_node("Identity", node.input[:1], node.output[:1])
    elif contrib and node.op_type in _MOVED:
        made_here = NodeProto()
        made_here.CopyFrom(node)
        made_here.domain = ""
        yield made_here
    elif contrib and node.op_type in _MAKERS:
        made = list(_MAKERS[node.op_type](node, attributes_of(node), _Weights(shapes, model)))
        yield from made or [node]
    else:
        yield node


class _Weights:
    """Shapes of weights, and weights that are nothing but a shape."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], model: onnx.ModelProto) -> None:
        self._shapes = shapes
        self._graph = model.graph

    def shape(self, name: str) -> tuple[int, ...] | None:
        return self._shapes.get(name)

    def empty(self, *shape: int) -> str:
        """Name of a new weight without data."""
        name = f"/shape only/{len(self._graph.initializer)}"
        made = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
        made.data_location = TensorProto.EXTERNAL
        self._graph.initializer.append(made)
        return name


Made = Iterator[NodeProto]


def _fused_matmul(node: NodeProto, said: Attributes, _: _Weights) -> Made:
    if not said.get("transBatchA") and not said.get("transBatchB"):
        left = "...ji" if said.get("transA") else "...ij"
        right = "...kj" if said.get("transB") else "...jk"
        equation = f"{left},{right}->...ik"
        yield helper.make_node("Einsum", node.input[:2], node.output[:1], equation=equation)


def _gemm(left: int, right: int) -> Callable[[NodeProto, Attributes, _Weights], Made]:
    def make(node: NodeProto, said: Attributes, _: _Weights) -> Made:
        kept = {name: value for name, value in said.items() if name in _GEMM}
        inputs = [node.input[left], node.input[right]]
        yield helper.make_node("Gemm", inputs, node.output[:1], **kept)

    return make


def _fused_conv(node: NodeProto, said: Attributes, _: _Weights) -> Made:
    kept = {name: value for name, value in said.items() if name in _CONV}
    yield helper.make_node("Conv", node.input[:2], node.output[:1], **kept)


def _product(node: NodeProto, _: Attributes, __: _Weights) -> Made:
    """Integers in, single precision out."""
    inner = f"/product/{node.output[0]}"
    yield helper.make_node("MatMul", node.input[:2], [inner])
    yield helper.make_node("Cast", [inner], node.output[:1], to=TensorProto.FLOAT)


def _by_bits(node: NodeProto, said: Attributes, weights: _Weights) -> Made:
    if {"K", "N"} <= said.keys():
        other = weights.empty(said["K"], said["N"])
        yield helper.make_node("MatMul", [node.input[0], other], node.output[:1])


def _attention(node: NodeProto, said: Attributes, weights: _Weights) -> Made:
    packed = weights.shape(node.input[1]) if len(node.input) > 1 else None
    if packed is not None and len(packed) == 2:  # [width of the input, three of the output]
        sizes = said.get("qkv_hidden_sizes")
        width = sizes[-1] if sizes else packed[1] // _THREE
        other = weights.empty(packed[0], width)
        yield helper.make_node("MatMul", [node.input[0], other], node.output[:1])


def _elementwise(node: NodeProto, _: Attributes, __: _Weights) -> Made:
    yield helper.make_node("Add", [node.input[0], node.input[_THREE]], node.output[:1])


def _concat(node: NodeProto, said: Attributes, _: _Weights) -> Made:
    """Inputs come as scale and zero point of the output, then (data, scale, zero) each."""
    axis = said.get("axis", 0)
    yield helper.make_node("Concat", node.input[2::_THREE], node.output[:1], axis=axis)


def _embedding(node: NodeProto, _: Attributes, __: _Weights) -> Made:
    yield helper.make_node("Gather", [node.input[2], node.input[0]], node.output[:1], axis=0)


_MAKERS: dict[str, Callable[[NodeProto, Attributes, _Weights], Made]] = {
    "FusedMatMul": _fused_matmul,
    "FusedGemm": _gemm(0, 1),
    "QGemm": _gemm(0, _THREE),
    "FusedConv": _fused_conv,
    "MatMulIntegerToFloat": _product,
    "DynamicQuantizeMatMul": _product,
    "MatMulNBits": _by_bits,
    "Attention": _attention,
    "QLinearAdd": _elementwise,
    "QLinearMul": _elementwise,
    "QLinearConcat": _concat,
    "EmbedLayerNormalization": _embedding,
}

LIGHT = (
    SAME_SHAPE | _MOVED | {"QLinearAdd", "QLinearMul", "QLinearConcat", "EmbedLayerNormalization"}
)
"""Contrib operators that multiply no matrices."""
