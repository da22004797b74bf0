"""What the nodes inside bodies of If, Loop and Scan compute.

No runtime shows that, so each body runs as a graph of its own, on what reached it: both branches
of an If, whichever was taken, and the first rounds of a loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from hierarchy.errors import RuntimeFailedError
from hierarchy.fingerprint import Array, ValueFingerprint, value_fingerprint
from hierarchy.graphs import MAIN, NodeKey, bodies

Arrays = Mapping[str, Array]
RunGraph = Callable[[onnx.GraphProto, Arrays], dict[str, Array]]
"""Runs a graph on values by name, and gives what each of its nodes makes."""

_ROUNDS = 3
"""Of a loop: its nodes do the same in each."""


class Bodies:
    """Runs the bodies of a graph, and theirs.

    Attributes:
        values: The fingerprints of what each node in a body made, of every run of it. What it
            only passed on is left out: others hold that, too.
        refused: Why some bodies tell nothing.
    """

    def __init__(self, run: RunGraph) -> None:
        self.values: dict[NodeKey, list[ValueFingerprint]] = defaultdict(list)
        self.refused: list[str] = []
        self._run = run

    def look(self, graph: onnx.GraphProto, known: Arrays, path: str = MAIN) -> None:
        """Look into the bodies of a graph.

        Args:
            graph: The graph.
            known: Every value that its nodes see and make.
            path: Its path.
        """
        for position, node in enumerate(graph.node):
            for name, body in bodies(node):
                inside = f"{path}/{position}.{name}"
                try:
                    for given in self._rounds(node, body, known):
                        self._look_into(body, {**known, **_held(body), **given}, inside)
                except RuntimeFailedError as error:
                    self.refused.append(f"nothing is known of {inside} ({error})")

    def _look_into(self, body: onnx.GraphProto, given: Arrays, path: str) -> None:
        known = {**given, **self._run(body, given)}
        for position, node in enumerate(body.node):
            read = [known[name] for name in node.input if name in known]
            made = [known[name] for name in node.output if name in known]
            prints = [value_fingerprint(array) for array in made if not _passed_on(array, read)]
            self.values[NodeKey(path, position)] += [found for found in prints if found is not None]
        self.look(body, known, path)

    def _rounds(
        self, node: onnx.NodeProto, body: onnx.GraphProto, known: Arrays
    ) -> Iterator[Arrays]:
        """The inputs of a body, each time that it runs.

        Raises:
            RuntimeFailedError: They are not tensors, or the operator runs bodies in its own way.
        """
        if node.op_type == "If":
            return iter([{}])
        if node.op_type not in {"Loop", "Scan"}:
            raise RuntimeFailedError(f"{node.op_type} runs it in its own way.")
        if any(name and name not in known for name in node.input):
            raise RuntimeFailedError("It is given what is no tensor.")
        return (self._loop if node.op_type == "Loop" else self._scan)(node, body, known)

    def _loop(self, node: onnx.NodeProto, body: onnx.GraphProto, known: Arrays) -> Iterator[Arrays]:
        given_most, given_more, *names = node.input
        most = int(known[given_most].item()) if given_most else _ROUNDS
        more = known[given_more] if given_more else np.array(True)
        state = [known[name] for name in names]
        for count in range(min(_ROUNDS, most)):
            if not more.item():
                return
            given = _named(body, [np.array(count), more, *state])
            yield given
            more, *state = self._results(body, known, given)[: 1 + len(state)]

    def _scan(self, node: onnx.NodeProto, body: onnx.GraphProto, known: Arrays) -> Iterator[Arrays]:
        said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values = [known[name] for name in node.input]
        split = len(values) - said["num_scan_inputs"]
        state, scanned = values[:split], values[split:]
        axes = said.get("scan_input_axes") or [0] * len(scanned)
        backwards = said.get("scan_input_directions") or [0] * len(scanned)
        turns = list(zip(scanned, axes, backwards, strict=True))
        length = min((array.shape[axis] for array, axis, _ in turns), default=0)
        for count in range(min(_ROUNDS, length)):
            slices = [
                array.take(length - 1 - count if back else count, axis)
                for array, axis, back in turns
            ]
            given = _named(body, [*state, *slices])
            yield given
            state = self._results(body, known, given)[: len(state)]

    def _results(self, body: onnx.GraphProto, known: Arrays, given: Arrays) -> list[Array]:
        seen = {**known, **_held(body), **given}
        seen |= self._run(body, seen)
        if missing := [value.name for value in body.output if value.name not in seen]:
            raise RuntimeFailedError(f"Its output {missing[0]} is no tensor.")
        return [seen[value.name] for value in body.output]


def _named(body: onnx.GraphProto, values: list[Array]) -> dict[str, Array]:
    return {value.name: array for value, array in zip(body.input, values, strict=True)}


def _passed_on(made: Array, read: list[Array]) -> bool:
    """Whether an array holds the numbers of one that was read."""
    alike = [array for array in read if array.size == made.size]
    return any(np.array_equal(np.sort(a, axis=None), np.sort(made, axis=None)) for a in alike)


def _held(graph: onnx.GraphProto) -> dict[str, Array]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
