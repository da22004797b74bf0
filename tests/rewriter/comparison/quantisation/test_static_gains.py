"""The gains of a static int8 file are those of onnxruntime's own quantiser."""

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from modelexport.rewriter import Numeric, annotate, compare
from tests.helpers.handmade import parse, record_of

RESIDUAL = """
g (float[1, 2, 6, 6] x) => (float[1, 2, 2, 2] y) {
    [conv] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, c.weight)
    [act] b = Relu (a)
    [deep] d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, d.weight)
    [tanh] t = Tanh (d)
    [left] e = Conv <kernel_shape = [1, 1]> (t, e.weight)
    [right] f = Conv <kernel_shape = [1, 1]> (t, f.weight)
    [sum] s = Add (e, t)
    [more] r = Add (s, f)
    [square] u = Mul (r, r)
    [pool] p = MaxPool <kernel_shape = [3, 3], strides = [3, 3]> (u)
    [last] y = Conv <kernel_shape = [1, 1]> (p, y.weight)
}
"""
"""The largest number that MaxPool reads is the largest that it returns, and all are positive: its
output has the same range as its input, so it gets the same scale when it is not passed on."""
MODULES = ["conv", "act", "deep", "tanh", "left", "right", "sum", "more", "square", "pool", "last"]
WEIGHTS = {
    **dict.fromkeys(("c.weight", "d.weight"), (2, 2, 3, 3)),
    **dict.fromkeys(("e.weight", "f.weight", "y.weight"), (2, 2, 1, 1)),
}
INPUT = np.random.default_rng(1).standard_normal((1, 2, 6, 6)).astype(np.float32)


class _Once(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._left = [{"x": INPUT}]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self._left.pop() if self._left else None


def _quantise(target: str, operators: list[str] | None, excluded: list[str]) -> np.ndarray:
    """Quantise the file without some nodes; returns what it computes."""
    quantize_static(
        "float.onnx", target, _Once(), op_types_to_quantize=operators, nodes_to_exclude=excluded,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    return _output(target)


def _output(path: str) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"x": INPUT})[0]
    return result


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "operators",
    [None, ["Conv"], ["Conv", "MaxPool"], ["Conv", "Add", "Tanh"]],
    ids=["all operators", "convolutions", "and pooling", "and sums"],
)
def test_gains_are_those_of_the_quantiser(
    working_folder: Path, operators: list[str] | None
) -> None:
    """A value stays quantised as long as a node is left that needs it so, and no longer."""
    model = parse(RESIDUAL, WEIGHTS)
    for tensor in model.graph.initializer:  # small enough for Tanh to tell them apart
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) / 3, tensor.name))
    onnx.save(model, "plain.onnx")
    record = record_of(model, {"": "Net"} | {m: m.title() for m in MODULES}, MODULES)
    annotate("plain.onnx", record, "float.onnx")
    np.savez("inputs.npz", x=INPUT)
    exact, whole = _output("float.onnx"), _quantise("int8.onnx", operators, [])
    settings = Numeric(probe=working_folder / "inputs.npz", suggest=True)
    numeric = compare("float.onnx", "int8.onnx", numeric=settings).numeric
    assert numeric is not None
    assert numeric.suggestion is not None
    measured = {tag.rpartition("/")[2]: g for tag, g in numeric.suggestion.measured.items()}
    assert {"conv", "deep", "left", "right", "last"} <= measured.keys()
    assert len({round(gain, 2) for gain in measured.values()}) > 3
    before = np.linalg.norm(whole - exact)
    for module, value in measured.items():
        after = np.linalg.norm(_quantise("without.onnx", operators, [module]) - exact)
        gain = 20 * math.log10(before / after)
        assert value == pytest.approx(gain, abs=0.02), module
