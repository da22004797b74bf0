"""Values that both files have, in the form that each file holds them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.quantisation_scales import Scale


@dataclass(frozen=True)
class ValueForm:
    """How a file holds a value.

    Attributes:
        type: Type of its elements, as ONNX numbers them.
        shape: Its shape on the inputs of the comparison.
        scale: Scale and zero point in the graph; None for a value that is not quantised.
    """

    type: int
    shape: tuple[int, ...]
    scale: Scale | None = None

    @classmethod
    def of(cls, array: Array, scale: Scale | None = None) -> "ValueForm":
        """The form of an array; it is quantised where it holds integers and has a scale."""
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        is_quantised = kind not in _FLOATS
        return cls(kind, tuple(array.shape), scale if is_quantised else None)

    @property
    def is_real(self) -> bool:
        """Whether it stands for real numbers."""
        return self.scale is not None or self.type in _FLOATS


_FLOATS = {
    *(onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16),
    onnx.TensorProto.BFLOAT16,
}


def converted(
    name: str, form: ValueForm, target: str, target_form: ValueForm
) -> Iterator[onnx.NodeProto]:
    """Nodes that bring a value from the form of one file into that of another.

    Args:
        name: The value.
        form: Its form.
        target: The value that the last node computes.
        target_form: The form of that.
    """
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    kind = form.type
    if form.scale is not None:
        steps.append(("DequantizeLinear", [part for part in form.scale if part], {}))
        kind = onnx.TensorProto.FLOAT
    goal = onnx.TensorProto.FLOAT if target_form.scale is not None else target_form.type
    if kind != goal:
        steps.append(("Cast", [], {"to": goal}))
    if target_form.scale is not None:
        steps.append(("QuantizeLinear", [part for part in target_form.scale if part], {}))
    if form.shape != target_form.shape:
        yield _shape_node(f"{target}/shape", target_form.shape)
        steps.append(("Reshape", [f"{target}/shape"], {}))
    steps = steps or [("Identity", [], {})]
    for number, (operator, more, attributes) in enumerate(steps):
        output = target if number == len(steps) - 1 else f"{target}/{number}"
        yield helper.make_node(operator, [name, *more], [output], **attributes)
        name = output


def _shape_node(name: str, shape: tuple[int, ...]) -> onnx.NodeProto:
    value = numpy_helper.from_array(np.array(shape, np.int64), name)
    return helper.make_node("Constant", [], [name], value=value)
