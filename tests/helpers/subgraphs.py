"""A model with subgraphs of every kind, and weights inside them."""

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser

from modelexport.hierarchy.graph_paths import walk_nodes

HEADER = '<ir_version: 10, opset_import: ["" : 18, "local" : 1]>'
SUBGRAPHS = """
agraph (float[2, 64] x, bool c) => (float[2, 64] y, float[2, 64] z) {
    n = Constant <value = int64 {3}> ()
    one = Loop <body = loop (int64 i, bool go, float[2, 64] s) => (bool on, float[2, 64] r) {
        on = Identity (go)
        r = If (c) <then_branch = yes () => (float[2, 64] a) {a = MatMul (s, inner)},
                    else_branch = no () => (float[2, 64] b) {b = Neg (s)}>
    }> (n, c, x)
    big = Identity (x)
    two = local.choose (one, c)
    y = MatMul (two, big)
    z = Scan <num_scan_inputs = 1, body = step (float[64] row) => (float[64] turned) {
        turned = Add (row, bias) }> (x)
}
<domain: "local", opset_import: ["" : 18]>
choose (v, when) => (out) {
    k = Identity (v)
    out = If (when) <then_branch = yes () => (p) {p = MatMul (v, k)},
                     else_branch = no () => (q) {q = Abs (v)}>
}
"""
SIDE = 64


def random_weight(name: str, shape: tuple[int, ...], seed: int) -> TensorProto:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def subgraph_of(node: NodeProto, name: str) -> onnx.GraphProto:
    return next(attribute.g for attribute in node.attribute if attribute.name == name)


def with_subgraphs() -> ModelProto:
    """Loop, If, Scan, a function with an If; big weights in subgraphs and in Constant nodes."""
    model = parser.parse_model(HEADER + SUBGRAPHS)
    nodes = {node.output[0]: node for _, node in walk_nodes(model)}
    for seed, name in enumerate(["big", "k"]):
        tensor = random_weight("", (SIDE, SIDE), seed)
        nodes[name].CopyFrom(helper.make_node("Constant", [], [name], value=tensor))
    subgraph_of(nodes["r"], "then_branch").initializer.append(
        random_weight("inner", (SIDE, SIDE), 2)
    )
    subgraph_of(nodes["z"], "body").initializer.append(random_weight("bias", (SIDE * SIDE,), 3))
    bias = helper.make_node("Slice", ["bias", "from", "to"], ["some"])
    step = subgraph_of(nodes["z"], "body")
    step.initializer.append(numpy_helper.from_array(np.array([0]), "from"))
    step.initializer.append(numpy_helper.from_array(np.array([SIDE]), "to"))
    add = NodeProto()
    add.CopyFrom(step.node[0])
    add.input[1] = "some"
    del step.node[:]
    step.node.extend([bias, add])
    onnx.checker.check_model(model)
    return model


def save_model(folder: Path, model: ModelProto) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path
