"""What the nodes inside the subgraphs of If, Loop and Scan compute.

onnxruntime returns no values from inside subgraphs. So each subgraph runs as a model of its own,
on the values that reach it: both branches of an If, whichever was taken, and the first
iterations of a loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraph_path, subgraphs
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.hierarchy.subgraphs import Arrays

RunGraph = Callable[[onnx.GraphProto, Arrays], dict[str, Array]]
"""Runs a graph on values by name, and returns what each of its nodes computes."""

ReadInitializer = Callable[[onnx.TensorProto], Array | None]
"""Reads the content of an initializer; None for what numpy cannot hold."""

_MAX_ITERATIONS = 3
"""Maximum number of iterations of a loop that are run: its nodes do the same in each."""


@dataclass(frozen=True)
class SubgraphValues:
    """What nodes in subgraphs computed.

    Attributes:
        first: Fingerprint of each value when its subgraph ran first, by the subgraph's path and
            the value's name.
        computed: Fingerprints of what each node computed, from all runs. Values that a node only
            passes through are left out, because other nodes computed them.
        failures: Why some subgraphs could not be run, a sentence each.
    """

    first: dict[tuple[str, str], ValueFingerprint] = field(default_factory=dict)
    computed: dict[NodeKey, list[ValueFingerprint]] = field(
        default_factory=lambda: defaultdict(list)
    )
    failures: list[str] = field(default_factory=list)


class SubgraphRunner:
    """Runs the subgraphs of a graph, and the subgraphs of these.

    Args:
        run_graph: Runs a subgraph as a model of its own.
        read: Reads the initializers of subgraphs.
        first_only: Whether only first runs matter: loops run one iteration, and `computed` stays
            empty.
        infinity_threshold: Magnitude from which numbers count as infinite.
    """

    def __init__(
        self,
        run_graph: RunGraph,
        read: ReadInitializer = numpy_helper.to_array,
        *,
        first_only: bool = False,
        infinity_threshold: float = INFINITY_THRESHOLD,
    ) -> None:
        self._run_graph = run_graph
        self._read = read
        self._first_only = first_only
        self._max_iterations = 1 if first_only else _MAX_ITERATIONS
        self._infinity_threshold = infinity_threshold

    def run(self, graph: onnx.GraphProto, values: Arrays) -> SubgraphValues:
        """Run all subgraphs of a main graph.

        Args:
            graph: The main graph.
            values: All values that its subgraphs see, and that nodes with subgraphs read.
        """
        results = SubgraphValues()
        self._run_subgraphs(graph, values, MAIN, results)
        return results

    def _run_subgraphs(
        self, graph: onnx.GraphProto, values: Arrays, path: str, results: SubgraphValues
    ) -> None:
        for position, node in enumerate(graph.node):
            for attribute, subgraph in subgraphs(node):
                inside = subgraph_path(path, position, attribute)
                try:
                    for inputs in self._iterations(node, subgraph, values):
                        visible = {**values, **self._initializers(subgraph), **inputs}
                        self._run_subgraph(subgraph, visible, inside, results)
                except RuntimeFailedError as error:
                    results.failures.append(
                        f"the values in the subgraph {inside} are unknown ({error})"
                    )

    def _run_subgraph(
        self, subgraph: onnx.GraphProto, visible: Arrays, path: str, results: SubgraphValues
    ) -> None:
        values = {**visible, **self._run_graph(subgraph, visible)}
        for position, node in enumerate(subgraph.node):
            inputs = [values[name] for name in node.input if name in values]
            for name in node.output:
                array = values.get(name)
                if array is None:
                    continue
                fingerprint = value_fingerprint(array, self._infinity_threshold)
                if fingerprint is None:
                    continue
                results.first.setdefault((path, name), fingerprint)
                if not self._first_only and not _is_passed_through(array, inputs):
                    results.computed[NodeKey(path, position)].append(fingerprint)
        self._run_subgraphs(subgraph, values, path, results)

    def _iterations(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, values: Arrays
    ) -> Iterator[Arrays]:
        """The inputs of a subgraph, for each time that it runs.

        Raises:
            RuntimeFailedError: An input is no tensor, or the operator is not known.
        """
        if node.op_type == "If":
            return iter([{}])
        if node.op_type not in {"Loop", "Scan"}:
            raise RuntimeFailedError(f"It is not known how {node.op_type} runs its subgraphs.")
        absent = [name for name in node.input if name not in values]
        if any(absent) or (absent and node.op_type == "Scan"):  # a Loop may omit its limits
            raise RuntimeFailedError(f"{node.op_type} reads a value that is no tensor.")
        follow = self._loop_iterations if node.op_type == "Loop" else self._scan_iterations
        return follow(node, subgraph, values)

    def _loop_iterations(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, values: Arrays
    ) -> Iterator[Arrays]:
        trip_count_name, condition_name, *state_names = node.input
        trip_count = values[trip_count_name].item() if trip_count_name else self._max_iterations
        condition = values[condition_name] if condition_name else np.array(True)
        state = [values[name] for name in state_names]
        for iteration in range(min(self._max_iterations, int(trip_count))):
            if not condition.item():
                return
            inputs = _named(subgraph, [np.array(iteration), condition, *state])
            yield inputs
            condition, *state = self._outputs(subgraph, values, inputs)[: 1 + len(state)]

    def _scan_iterations(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, values: Arrays
    ) -> Iterator[Arrays]:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        arrays = [values[name] for name in node.input]
        split = len(arrays) - attributes["num_scan_inputs"]
        state, scanned = arrays[:split], arrays[split:]
        axes = attributes.get("scan_input_axes") or [0] * len(scanned)
        backwards = attributes.get("scan_input_directions") or [0] * len(scanned)
        scans = list(zip(scanned, axes, backwards, strict=True))
        length = min((array.shape[axis] for array, axis, _ in scans), default=0)
        for iteration in range(min(self._max_iterations, length)):
            slices = [
                np.asarray(array.take(length - 1 - iteration if back else iteration, axis))
                for array, axis, back in scans
            ]
            inputs = _named(subgraph, [*state, *slices])
            yield inputs
            state = self._outputs(subgraph, values, inputs)[: len(state)]

    def _outputs(self, subgraph: onnx.GraphProto, values: Arrays, inputs: Arrays) -> list[Array]:
        """What a subgraph returns.

        Raises:
            RuntimeFailedError: An output is no tensor.
        """
        visible = {**values, **self._initializers(subgraph), **inputs}
        results = visible | self._run_graph(subgraph, visible)
        if missing := [value.name for value in subgraph.output if value.name not in results]:
            raise RuntimeFailedError(f"Its output {missing[0]} is no tensor.")
        return [results[value.name] for value in subgraph.output]

    def _initializers(self, graph: onnx.GraphProto) -> dict[str, Array]:
        arrays = ((tensor.name, self._read(tensor)) for tensor in graph.initializer)
        return {name: array for name, array in arrays if array is not None}


def _named(subgraph: onnx.GraphProto, arrays: list[Array]) -> dict[str, Array]:
    """Arrays by the names of a subgraph's inputs."""
    return {value.name: array for value, array in zip(subgraph.input, arrays, strict=True)}


def _is_passed_through(array: Array, inputs: list[Array]) -> bool:
    """Whether an array holds the numbers of one of a node's inputs, in any order."""
    same_size = [other for other in inputs if other.size == array.size]
    if not same_size:
        return False
    ordered = np.sort(array, axis=None)
    return any(np.array_equal(np.sort(other, axis=None), ordered) for other in same_size)
