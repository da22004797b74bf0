"""Surrogates: operators of ONNX that have the same shapes as contrib operators.

onnx infers no shapes after an operator that it does not know. The contrib operators that
optimisers and quantisers write are defined, though: a fused normalisation has the shape of its
input, a fused matrix product that of the product. So shapes are inferred on a copy of the model in
which surrogates replace them. An operator without a surrogate stays, and shapes after it are
unknown.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeGuard

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

_SAME_IN_ONNX = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators that are in a contrib domain as they are in ONNX's own."""

LIGHT = (
    SAME_SHAPE
    | _SAME_IN_ONNX
    | {"QLinearAdd", "QLinearMul", "QLinearConcat", "EmbedLayerNormalization"}
)
"""Contrib operators without matrix products."""

_GEMM_ATTRIBUTES = {"alpha", "beta", "transA", "transB"}
_CONV_ATTRIBUTES = {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}

Attributes = dict[str, Any]
Nodes = Iterator[NodeProto]


def attributes_of(node: NodeProto) -> Attributes:
    """The attributes of a node as Python values, without subgraphs and references."""
    if not node.attribute:
        return {}
    values = (a for a in node.attribute if not a.HasField("g") and not a.graphs)
    return {a.name: helper.get_attribute_value(a) for a in values if not a.ref_attr_name}


def is_list_of_integers(value: object) -> TypeGuard[list[int]]:
    """Whether an attribute is a list of integers, and not empty."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(entry, int) for entry in value)


def replace_contrib_operators(model: onnx.ModelProto) -> None:
    """Replace contrib operators in the main graph by their surrogates.

    Args:
        model: A copy that is used for shapes alone. It is changed.
    """
    weights = _Weights(model)
    nodes = [surrogate for node in model.graph.node for surrogate in _surrogates(node, weights)]
    messages = [node.SerializeToString() for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(NodeProto.FromString(message) for message in messages)


class _Weights:
    """The shapes of weights; adds weights that have a shape and no data.

    Args:
        model: The model. Its weights that are there already are read once.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._shapes = {weight.name: tuple(weight.dims) for weight in self._graph.initializer}

    def shape(self, name: str) -> tuple[int, ...] | None:
        return self._shapes.get(name)

    def add(self, *shape: int) -> str:
        """Name of a new weight without data."""
        name = f"/shape only/{len(self._graph.initializer)}"
        weight = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
        weight.data_location = TensorProto.EXTERNAL
        self._graph.initializer.append(weight)
        return name


def may_have_surrogate(node: NodeProto) -> bool:
    """Whether `replace_contrib_operators` may replace a node."""
    return node.domain not in DEFAULT_DOMAINS or node.op_type in SAME_SHAPE


def _surrogates(node: NodeProto, weights: _Weights) -> Nodes:
    """The nodes that replace a node; the node itself where it needs none or has none."""
    contrib = node.domain not in DEFAULT_DOMAINS
    if node.op_type in SAME_SHAPE and (contrib or node.op_type == "SimplifiedLayerNormalization"):
        yield helper.make_node("Identity", node.input[:1], node.output[:1])
    elif contrib and node.op_type in _SAME_IN_ONNX:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.domain = ""
        yield copy
    elif contrib and _has_surrogate(node):
        surrogate = _SURROGATES[node.op_type]
        yield from list(surrogate.nodes(node, attributes_of(node), weights)) or [node]
    else:
        yield node


def _has_surrogate(node: NodeProto) -> bool:
    """Whether a node is of an operator with a surrogate, and has the inputs that it needs."""
    surrogate = _SURROGATES.get(node.op_type)
    return surrogate is not None and len(node.input) > surrogate.last_input and bool(node.output)


def _fused_matmul(node: NodeProto, attributes: Attributes, _: _Weights) -> Nodes:
    if not attributes.get("transBatchA") and not attributes.get("transBatchB"):
        left = "...ji" if attributes.get("transA") else "...ij"
        right = "...kj" if attributes.get("transB") else "...jk"
        equation = f"{left},{right}->...ik"
        yield helper.make_node("Einsum", node.input[:2], node.output[:1], equation=equation)


def _gemm(left: int, right: int) -> Callable[[NodeProto, Attributes, _Weights], Nodes]:
    """For an operator that has its two matrices at these positions of its inputs."""

    def surrogate(node: NodeProto, attributes: Attributes, _: _Weights) -> Nodes:
        used = {name: value for name, value in attributes.items() if name in _GEMM_ATTRIBUTES}
        inputs = [node.input[left], node.input[right]]
        yield helper.make_node("Gemm", inputs, node.output[:1], **used)

    return surrogate


def _fused_conv(node: NodeProto, attributes: Attributes, _: _Weights) -> Nodes:
    used = {name: value for name, value in attributes.items() if name in _CONV_ATTRIBUTES}
    yield helper.make_node("Conv", node.input[:2], node.output[:1], **used)


def _integer_matmul(node: NodeProto, _: Attributes, __: _Weights) -> Nodes:
    """Integers in, single precision out."""
    product = f"/product/{node.output[0]}"
    yield helper.make_node("MatMul", node.input[:2], [product])
    yield helper.make_node("Cast", [product], node.output[:1], to=TensorProto.FLOAT)


def _matmul_packed(node: NodeProto, attributes: Attributes, weights: _Weights) -> Nodes:
    """The weight is packed; its shape is in the attributes."""
    if all(isinstance(attributes.get(name), int) for name in ("K", "N")):
        unpacked = weights.add(attributes["K"], attributes["N"])
        yield helper.make_node("MatMul", [node.input[0], unpacked], node.output[:1])


def _attention(node: NodeProto, attributes: Attributes, weights: _Weights) -> Nodes:
    """The weight is [width of the input, width of queries + keys + values]."""
    shape = weights.shape(node.input[1])
    if shape is not None and len(shape) == 2:
        widths = attributes.get("qkv_hidden_sizes")
        width = widths[-1] if is_list_of_integers(widths) else shape[1] // 3
        value_weight = weights.add(shape[0], width)
        yield helper.make_node("MatMul", [node.input[0], value_weight], node.output[:1])


def _quantised_elementwise(node: NodeProto, _: Attributes, __: _Weights) -> Nodes:
    """Inputs are (data, scale, zero point) of each operand."""
    yield helper.make_node("Add", [node.input[0], node.input[3]], node.output[:1])


def _quantised_concat(node: NodeProto, attributes: Attributes, _: _Weights) -> Nodes:
    """Inputs are scale and zero point of the output, then (data, scale, zero point) of each."""
    axis = attributes.get("axis", 0)
    yield helper.make_node("Concat", node.input[2::3], node.output[:1], axis=axis)


def _embedding(node: NodeProto, _: Attributes, __: _Weights) -> Nodes:
    yield helper.make_node("Gather", [node.input[2], node.input[0]], node.output[:1], axis=0)


class _Surrogate(NamedTuple):
    """How the nodes are made that replace a node.

    Attributes:
        nodes: Makes them.
        last_input: Position of the last input that they read.
    """

    nodes: Callable[[NodeProto, Attributes, _Weights], Nodes]
    last_input: int = 1


_SURROGATES = {
    "FusedMatMul": _Surrogate(_fused_matmul),
    "FusedGemm": _Surrogate(_gemm(0, 1)),
    "QGemm": _Surrogate(_gemm(0, 3), 3),
    "FusedConv": _Surrogate(_fused_conv),
    "MatMulIntegerToFloat": _Surrogate(_integer_matmul),
    "DynamicQuantizeMatMul": _Surrogate(_integer_matmul),
    "MatMulNBits": _Surrogate(_matmul_packed, 0),
    "Attention": _Surrogate(_attention),
    "QLinearAdd": _Surrogate(_quantised_elementwise, 3),
    "QLinearMul": _Surrogate(_quantised_elementwise, 3),
    "QLinearConcat": _Surrogate(_quantised_concat, 2),
    "EmbedLayerNormalization": _Surrogate(_embedding, 2),
}
