"""Functions of a file that have the names of operators, and other inputs and outputs than these."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from modelexport.rewriter import analyze
from tests.helpers.commands import Run

OWN = "own"
LOOKED_AT = (
    *("Cast", "Identity", "Reshape", "QuantizeLinear", "DequantizeLinear", "QLinearConv", "QGemm"),
    *("QLinearAdd", "QLinearConcat", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits"),
    *("Attention", "QAttention", "MultiHeadAttention", "LSTM", "Einsum", "EmbedLayerNormalization"),
)
"""Operators whose inputs are read by position: casts, quantised ones, those that are counted."""


def with_function(model: onnx.ModelProto, name: str, inputs: int, outputs: int) -> onnx.ModelProto:
    """A copy in which the second node's result also goes to a function, and the result on."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    source = copy.graph.node[1].output[0]
    for node in copy.graph.node[2:3] if outputs else ():
        node.input[0] = "changed"
    actuals, results = [source] * inputs, ["changed"] * outputs
    call = helper.make_node(name, actuals, results, name="call", domain=OWN)
    nodes = [*copy.graph.node[:2], call, *copy.graph.node[2:]]
    width = model.graph.initializer[0].dims[0]
    numbers = helper.make_tensor("n", onnx.TensorProto.FLOAT, [1, width], np.ones(width))
    formals = [f"i{place}" for place in range(inputs)]
    constant = helper.make_node("Constant", [], ["o"], value=numbers)
    inner = [helper.make_node("Identity", ["i0"], ["o"]) if inputs else constant] * outputs
    opsets = [helper.make_opsetid("", 18)]
    function = helper.make_function(OWN, name, formals, ["o"] * outputs, inner, opsets)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:]
    copy.graph.node.extend(copies)
    copy.functions.append(function)
    copy.opset_import.add(domain=OWN, version=1)
    return copy


FEWER = ((0, 1), (1, 0), (1, 1), (2, 1))
"""Numbers of inputs and outputs: fewer than the operators have."""


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_an_operator_would_read_is_not_there(
    run: Run, annotated: Path, tmp_path: Path, name: str
) -> None:
    """It is counted as unknown or as far as its shapes go, and files with it are compared."""
    changed, whole = tmp_path / "changed.onnx", onnx.load(annotated)
    for inputs, outputs in FEWER:
        model = with_function(whole, name, inputs, outputs)
        onnx.save(model, changed)
        assert analyze(changed).nodes == len(whole.graph.node) + 1 + len(model.functions[0].node)
        code, _, err = run("compare", changed, annotated, "--numeric")
        assert code in {0, 1}, err


@pytest.mark.parametrize("name", ["Identity", "QuantizeLinear"])
def test_functions_that_read_themselves(
    run: Run, annotated: Path, tmp_path: Path, name: str
) -> None:
    """A circle has no first value: whoever follows values ends all the same."""
    changed, whole = tmp_path / "changed.onnx", onnx.load(annotated)
    for place, other in ((1, 2), (2, 2)):
        model = with_function(whole, name, 2, 1)
        nodes = model.graph.node
        call = next(node for node in nodes if node.name == "call")
        call.input[0] = nodes[place + 2].output[0]
        nodes[other].input[0] = call.output[0]
        onnx.save(model, changed)
        for command in (
            *(["compare", annotated, changed, "--numeric"], ["split", changed, "--parts", "2"]),
        ):
            output = [] if command[0] == "compare" else ["-o", tmp_path / "new", "--force"]
            code, _, err = run(*command, *output)
            assert code in {0, 1, 2}
            assert "unexpected" not in err


def test_operators_that_recast_a_value_by_hundreds(
    run: Run, annotated: Path, tmp_path: Path
) -> None:
    """What a module reads is followed through all of them."""
    chained, whole = tmp_path / "chained.onnx", onnx.load(annotated)
    name = whole.graph.node[3].output[0]
    chain = []
    for place in range(sys.getrecursionlimit() // 3):
        chain.append(helper.make_node("Identity", [name], [f"recast.{place}"]))
        name = chain[-1].output[0]
    whole.graph.node[4].input[0] = name
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in whole.graph.node]
    del whole.graph.node[:]
    whole.graph.node.extend([*nodes[:4], *chain, *nodes[4:]])
    onnx.save(whole, chained)
    code, out, err = run("compare", chained, annotated, "--numeric", "--suggest")
    assert code in {0, 1}, err
    assert "layer.1" in run("compare", chained, annotated, "--numeric", "--all").out, out
