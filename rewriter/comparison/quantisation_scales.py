"""Which real numbers a quantised value stands for: its scale and zero point in the graph.

An operator that computes on quantised data reads the scale and the zero point of its result, and
those of each input: they are the two inputs after it. In between, values are moved as they are.
"""

from collections import deque
from collections.abc import Iterator

import onnx

Scale = tuple[str, str]
"""Names of scale and zero point; the latter is empty where there is none."""

_RESULT_SCALE_INPUT = {"QLinearConv": 6, "QLinearConcat": 0}
"""Which input is the scale of the result, for operators where it is not the second to last."""

_QGEMM_REAL_INPUTS = 7
"""A QGemm with no more inputs than this has no scale for its result: it returns real numbers."""

_MOVING = frozenset(
    {
        *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "MaxPool"),
        *("Gather", "Slice", "Split", "Expand", "Tile"),
    }
)
"""Operators whose output has the quantised numbers of their first input."""


class QuantisationScales:
    """Finds the scales of the values of a main graph.

    Args:
        graph: The main graph.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._producer: dict[str, onnx.NodeProto] = {}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            self._producer.update(dict.fromkeys(filter(None, node.output), node))
            for name in dict.fromkeys(filter(None, node.input)):
                self._consumers.setdefault(name, []).append(node)

    def of(self, name: str) -> Scale | None:
        """The scale of a value; None for a value that is not quantised."""
        return next(self._candidates(name), None)

    def _candidates(self, name: str) -> Iterator[Scale]:
        yield from self._from_producers(name)
        pending, visited = deque([name]), {name}
        while pending:
            value = pending.popleft()
            for node in self._consumers.get(value, ()):
                yield from _scale_of_input(node, value)
                if node.op_type in _MOVING and node.input[0] == value:
                    pending.extend(n for n in node.output if n not in visited)
                    visited.update(node.output)

    def _from_producers(self, name: str) -> Iterator[Scale]:
        visited = set[str]()
        while name not in visited and (node := self._producer.get(name)) is not None:
            visited.add(name)
            if node.op_type.startswith(("QLinear", "QGemm")):
                yield from _scale_of_result(node)
            if node.op_type not in _MOVING or not node.input:
                return
            name = node.input[0]


def _scale_of_result(node: onnx.NodeProto) -> Iterator[Scale]:
    position = _RESULT_SCALE_INPUT.get(node.op_type, len(node.input) - 2)
    scale_and_zero_point = node.input[max(0, position) : position + 2]
    has_scale = node.op_type != "QGemm" or len(node.input) > _QGEMM_REAL_INPUTS
    if has_scale and len(scale_and_zero_point) == 2:
        yield scale_and_zero_point[0], scale_and_zero_point[1]


def _scale_of_input(node: onnx.NodeProto, name: str) -> Iterator[Scale]:
    if node.op_type.startswith(("QLinear", "QGemm", "DequantizeLinear")):
        inputs = [*node.input, "", ""]
        for position in range(len(node.input)):
            if inputs[position] == name and inputs[position + 1]:
                yield inputs[position + 1], inputs[position + 2]
