"""Operators of ONNX that compute nothing of their own: they move, reshape, cast or round values."""

from modelexport.hierarchy.opsets import DEFAULT_DOMAINS

SHAPE_OPERATORS = frozenset({"Shape", "Size"})
"""Operators whose result depends on the shape of their input only."""

_QUANTISERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
"""Operators that store numbers in few bits, or the reverse."""

_PASS_THROUGH = _QUANTISERS | {
    *("Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *("Transpose", "Dropout"),
}
"""Operators that return the numbers of their first input, in another shape, order or type."""

_SCALING = frozenset({"Mul", "Div"})
"""Operators that scale real numbers by others."""

_CLIPPING = frozenset({"Relu", "Clip"})
"""Operators that clip values to a range. Storing a value in few bits clips it, too."""

_INTEGER_OPERATORS = frozenset({"MatMulInteger", "ConvInteger"})
"""Operators that return sums of codes, without a scale."""

_SCALE_OPERATORS = frozenset({"DynamicQuantizeLinear"})
"""Operators whose further outputs only describe the scale of the first output."""

_RESHAPING = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
"""Operators that return the numbers of their first input in their order: one may stand for another.
"""

_DATA_MOVEMENT = _PASS_THROUGH | {
    *("Split", "Slice", "Concat", "Expand", "Tile"),
    *("SplitToSequence", "SequenceAt", "SequenceConstruct", "ConcatFromSequence"),
}
"""Operators that only move, cut, cast or rescale values."""


def is_scaling(op_type: str) -> bool:
    """Whether an operator multiplies or divides real numbers."""
    return op_type in _SCALING


def is_clipping(op_type: str) -> bool:
    """Whether an operator clips values to a range, as storing them in few bits does."""
    return op_type in _CLIPPING


def returns_scales(op_type: str) -> bool:
    """Whether the further outputs of an operator only describe the scale of its first output."""
    return op_type in _SCALE_OPERATORS


def is_pass_through(op_type: str) -> bool:
    """Whether an operator returns the numbers of its first input, exactly or rounded.

    Args:
        op_type: The operator, with or without its domain: several domains have quantisers.
    """
    return op_type.rpartition("::")[2] in _PASS_THROUGH


def is_quantiser(op_type: str) -> bool:
    """Whether an operator stores numbers in few bits, or the reverse.

    Args:
        op_type: The operator, with or without its domain.
    """
    return op_type.rpartition("::")[2] in _QUANTISERS


def rescales_codes(op_type: str) -> bool:
    """Whether an operator reads and returns whole numbers with a scale for each of them.

    Such a number is a code. Where an operator of this kind returns the codes that it reads, these
    stand for other real numbers than before.
    """
    return real_operator(op_type) != op_type


def real_operator(op_type: str) -> str:
    """The operator on real numbers that a quantised operator stands for; others as they are.

    An operator that returns sums which are still to be scaled (MatMulInteger) stands for none.
    """
    name = op_type.rpartition("::")[2]
    if name == "QGemm":
        return "Gemm"
    real = name.removeprefix("QLinear")
    return op_type if real == name else real


def returns_unscaled_sums(op_type: str) -> bool:
    """Whether an operator returns sums of codes: another node scales them to real numbers."""
    return op_type.rpartition("::")[2] in _INTEGER_OPERATORS


def are_both_reshaping(one: str, other: str) -> bool:
    """Whether two operators only change the shape of a value: exporters may exchange them."""
    return one in _RESHAPING and other in _RESHAPING


def is_data_movement(domain: str, op_type: str) -> bool:
    """Whether an operator of ONNX only moves, cuts, casts or rescales values."""
    return domain in DEFAULT_DOMAINS and op_type in _DATA_MOVEMENT
