"""Quantised weights as their operators read them: the same numbers that onnxruntime gives."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelexport.rewriter.matching.evidence.dequantised_weights import dequantise

RANDOM = np.random.default_rng(3)


def run(node: onnx.NodeProto, weights: dict[str, np.ndarray], feeds: dict[str, np.ndarray]):
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    output = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "g", inputs, [output], held)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize(
    ("attributes", "scales"),
    [
        ({}, ()),
        ({}, (8,)),
        ({"axis": 0}, (6,)),
        ({"axis": 1, "block_size": 4}, (6, 2)),
        ({"axis": 1, "block_size": 5}, (6, 2)),
    ],
)
def test_linear(attributes: dict[str, int], scales: tuple[int, ...], zero: bool) -> None:
    """For a tensor, by channels, by blocks (the last not full); with a zero point and without."""
    stored = RANDOM.integers(-120, 120, (6, 8)).astype(np.int8)
    weights = {"w": stored, "s": RANDOM.random(scales).astype(np.float32) + 0.1}
    if zero:
        weights["z"] = RANDOM.integers(-9, 9, scales).astype(np.int8)
    node = helper.make_node("DequantizeLinear", list(weights), ["y"], **attributes)
    numbers = dequantise(node, stored, weights.get)
    assert numbers.dtype == np.float32
    assert np.allclose(numbers, run(node, weights, {}), atol=1e-5)


def test_one_scale_of_a_vector() -> None:
    """A vector has no channels: its one scale needs no axis."""
    stored = RANDOM.integers(-120, 120, 8).astype(np.int8)
    weights = {"w": stored, "s": np.float32([0.25])}
    node = helper.make_node("DequantizeLinear", list(weights), ["y"])
    assert np.array_equal(dequantise(node, stored, weights.get), stored * np.float32(0.25))


def by_blocks(
    inputs: list[str], rows: int, columns: int, block: int, bits: int = 4
) -> onnx.NodeProto:
    return helper.make_node(
        *("MatMulNBits", ["x", *inputs], ["y"]),
        domain="com.microsoft",
        K=columns,
        N=rows,
        bits=bits,
        block_size=block,
    )


@pytest.mark.parametrize("zero", [None, np.uint8, np.float32])
@pytest.mark.parametrize("columns", [32, 48])
def test_by_blocks(columns: int, zero: type | None) -> None:
    """The 4-bit form of contrib operators: a last block not full; zero points packed or not."""
    rows, block = 5, 32
    blocks = -(-columns // block)
    packed = RANDOM.integers(0, 256, (rows, blocks, block // 2)).astype(np.uint8)
    weights = {"b": packed, "s": RANDOM.random(rows * blocks).astype(np.float32) + 0.1}
    if zero is np.uint8:
        weights["z"] = RANDOM.integers(0, 256, rows * ((blocks + 1) // 2)).astype(np.uint8)
    elif zero:
        weights["z"] = RANDOM.integers(0, 16, rows * blocks).astype(zero)
    node = by_blocks(list(weights), rows, columns, block)
    # a product with the identity gives the weight back
    expected = run(node, weights, {"x": np.eye(columns, dtype=np.float32)}).T
    numbers = dequantise(node, packed, weights.get)
    assert numbers.dtype == np.float32
    assert np.allclose(numbers, expected, atol=1e-4)


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_numbers_of_any_width(bits: int) -> None:
    """Packed without gaps, the low bits first; without a zero point the middle stands for 0."""
    numbers = RANDOM.integers(0, 1 << bits, (3, 16))
    packed = np.packbits(numbers[..., None] >> np.arange(bits) & 1, bitorder="little")
    weights = {"b": packed, "s": RANDOM.random(3).astype(np.float32) + 0.1}
    node = by_blocks(list(weights), 3, 16, 16, bits)
    expected = (numbers - (1 << bits - 1)) * weights["s"][:, None]
    assert np.allclose(dequantise(node, packed, weights.get), expected)


@pytest.mark.parametrize(
    ("weights", "stored", "block"),
    [
        ({"b": np.zeros((2, 1, 16), np.uint8)}, "b", 32),  # without scales
        ({"b": np.zeros((2, 1, 16), np.uint8), "s": np.ones(2, np.float32)}, "s", 32),
        ({"b": np.zeros((2, 1, 16), np.uint8), "s": np.ones(3, np.float32)}, "b", 32),
        ({"b": np.zeros((1, 1, 16), np.uint8), "s": np.ones(2, np.float32)}, "b", 32),
        ({"b": np.zeros((2, 1, 16), np.uint8), "s": np.ones(2, np.float32)}, "b", 0),
    ],
)
def test_inputs_that_do_not_fit(weights: dict[str, np.ndarray], stored: str, block: int) -> None:
    """No numbers: without scales, for the scales themselves, of other sizes, with empty blocks."""
    node = by_blocks(["b", "s"], 2, 32, block)
    assert dequantise(node, weights[stored], weights.get) is None


def test_other_operators_say_nothing() -> None:
    """Any other reader leaves the weight as it is stored."""
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    assert dequantise(node, np.ones((2, 2), np.int8), {}.get) is None


def test_an_attribute_that_a_function_hands_on_has_no_value() -> None:
    """Damaged files have such attributes outside of functions."""
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"], axis=1)
    stored, scales = np.arange(6, dtype=np.int8).reshape(2, 3), np.float32([1.0, 2.0, 4.0])
    expected = dequantise(node, stored, {"s": scales}.get)
    handed_on = node.attribute.add(name="block_size", type=onnx.AttributeProto.INT)
    handed_on.ref_attr_name = "outer"
    actual = dequantise(node, stored, {"s": scales}.get)
    assert expected is not None
    np.testing.assert_array_equal(actual, expected)
