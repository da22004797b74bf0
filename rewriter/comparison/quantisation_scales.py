"""Which numbers a quantised value stands for: its scale and zero point, as the graph tells them.

The operators that compute on quantised data are told both for what they give, and for each thing
that they read: there, the two inputs behind it. In between, values are moved as they are.
"""

from collections import deque
from collections.abc import Iterator

import onnx

from modelexport.rewriter.graph.model_graph import ModelGraph

Scale = tuple[str, str]
"""Names of scale and zero point; the latter is empty where there is none."""

_GIVEN = {"QLinearConv": 6, "QLinearConcat": 0}
"""Where the scale of the result stands among the inputs, if not second to last."""

_MOVING = frozenset(
    {
        *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "MaxPool"),
        *("Gather", "Slice", "Split", "Expand", "Tile"),
    }
)
"""Operators that leave quantised numbers as they are, those of their first input."""


class Scales:
    """Finds the scales of values of a main graph.

    Args:
        graph: Its nodes, and how they depend on each other.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self._makers: dict[str, onnx.NodeProto] = {}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.model.graph.node:
            self._makers.update(dict.fromkeys(filter(None, node.output), node))
            for name in dict.fromkeys(filter(None, node.input)):
                self._users.setdefault(name, []).append(node)

    def of(self, name: str) -> Scale | None:
        """The scale of a value; None when nobody quantised it."""
        return next(self._told(name), None)

    def _told(self, name: str) -> Iterator[Scale]:
        yield from self._by_makers(name)
        waiting, met = deque([name]), {name}
        while waiting:
            value = waiting.popleft()
            for user in self._users.get(value, ()):
                yield from _as_input(user, value)
                if user.op_type in _MOVING and user.input[0] == value:
                    waiting.extend(n for n in user.output if n not in met)
                    met.update(user.output)

    def _by_makers(self, name: str) -> Iterator[Scale]:
        maker = self._makers.get(name)
        while maker is not None:
            if maker.op_type.startswith(("QLinear", "QGemm")):
                yield from _as_output(maker)
            if maker.op_type not in _MOVING:
                return
            maker = self._makers.get(maker.input[0])


def _as_output(node: onnx.NodeProto) -> Iterator[Scale]:
    place = _GIVEN.get(node.op_type, len(node.input) - 2)
    if node.op_type != "QGemm" or len(node.input) > 7:  # without a scale it gives back reals
        yield node.input[place], node.input[place + 1]


def _as_input(node: onnx.NodeProto, name: str) -> Iterator[Scale]:
    if node.op_type.startswith(("QLinear", "QGemm", "DequantizeLinear")):
        inputs = [*node.input, "", ""]
        for position in range(len(node.input)):
            if inputs[position] == name and inputs[position + 1]:
                yield inputs[position + 1], inputs[position + 2]
