"""Functions of a file that have the names of operators, and other inputs and outputs than these."""

from collections.abc import Iterator
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


def variants(model: onnx.ModelProto, name: str) -> Iterator[onnx.ModelProto]:
    """With fewer inputs and outputs than the operator has."""
    for inputs, outputs in ((0, 1), (1, 0), (1, 1), (2, 1)):
        yield with_function(model, name, inputs, outputs)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_an_operator_would_read_is_not_there(
    run: Run, annotated: Path, tmp_path: Path, name: str
) -> None:
    """It is counted as unknown or as far as its shapes go, and files with it are compared."""
    changed, whole = tmp_path / "changed.onnx", onnx.load(annotated)
    for model in variants(whole, name):
        onnx.save(model, changed)
        assert analyze(changed).nodes == len(whole.graph.node) + 1 + len(model.functions[0].node)
        for files in ([annotated, changed], [changed, annotated]):
            code, _, err = run("compare", *files, "--numeric")
            assert code in {0, 1}, err
