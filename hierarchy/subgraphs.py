"""What the nodes inside subgraphs of If, Loop and Scan compute.

No runtime shows that, so each subgraph runs as a graph of its own: both branches
of an If, whichever was taken, and the first rounds of a loop.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraphs
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD

Arrays = Mapping[str, Array]
RunGraph = Callable[[onnx.GraphProto, Arrays], dict[str, Array]]
"""Runs a graph on values by name, and gives what each of its nodes makes."""

Read = Callable[[onnx.TensorProto], Array | None]
"""The values of an initializer; None for what numpy cannot hold."""

_ROUNDS = 3
"""Of a loop: its nodes do the same in each."""


class SubgraphRunner:
    """Runs the subgraphs of a graph, and theirs.

    Args:
        run: Runs a subgraph by itself.
        read: Reads its initializers.
        once: Only what runs first is wanted: loops go round once, and `values` stays empty.
        beyond: Magnitude from which elements count as infinite.

    Attributes:
        first: The fingerprints of what the nodes in a subgraph made when it ran first, by its path
            and the value's name.
        values: Those of what each node made, of every run. What it only passed on is left out:
            others hold that, too.
        refused: Why some subgraphs tell nothing.
    """

    def __init__(
        self,
        run: RunGraph,
        read: Read = numpy_helper.to_array,
        *,
        once: bool = False,
        infinity_threshold: float = INFINITY_THRESHOLD,
    ) -> None:
        self.first: dict[tuple[str, str], ValueFingerprint] = {}
        self.values: dict[NodeKey, list[ValueFingerprint]] = defaultdict(list)
        self.refused: list[str] = []
        self._run = run
        self._read = read
        self._once = once
        self._most = 1 if once else _ROUNDS
        self._infinity_threshold = infinity_threshold

    def look(self, graph: onnx.GraphProto, known: Arrays, path: str = MAIN) -> None:
        """Look into the subgraphs of a graph.

        Args:
            graph: The graph.
            known: Every value that its subgraphs see, and that the nodes with subgraphs read.
            path: Its path.
        """
        for position, node in enumerate(graph.node):
            for name, subgraph in subgraphs(node):
                inside = f"{path}/{position}.{name}"
                try:
                    for given in self._rounds(node, subgraph, known):
                        self._look_into(
                            subgraph, {**known, **self._held(subgraph), **given}, inside
                        )
                except RuntimeFailedError as error:
                    self.refused.append(f"nothing is known of {inside} ({error})")

    def _look_into(self, subgraph: onnx.GraphProto, given: Arrays, path: str) -> None:
        known = {**given, **self._run(subgraph, given)}
        for position, node in enumerate(subgraph.node):
            read = [known[name] for name in node.input if name in known]
            for name in node.output:
                made = known.get(name)
                found = None if made is None else value_fingerprint(made, self._infinity_threshold)
                if made is None or found is None:
                    continue
                self.first.setdefault((path, name), found)
                if not self._once and not _passed_on(made, read):
                    self.values[NodeKey(path, position)].append(found)
        self.look(subgraph, known, path)

    def _rounds(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, known: Arrays
    ) -> Iterator[Arrays]:
        """The inputs of a subgraph, each time that it runs.

        Raises:
            RuntimeFailedError: They are not tensors, or the operator runs subgraphs in its own way.
        """
        if node.op_type == "If":
            return iter([{}])
        if node.op_type not in {"Loop", "Scan"}:
            raise RuntimeFailedError(f"{node.op_type} runs it in its own way.")
        absent = [name for name in node.input if name not in known]
        if any(absent) or (absent and node.op_type == "Scan"):  # a Loop may leave out its limits
            raise RuntimeFailedError("It is given what is no tensor, or something is left out.")
        return (self._loop if node.op_type == "Loop" else self._scan)(node, subgraph, known)

    def _loop(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, known: Arrays
    ) -> Iterator[Arrays]:
        given_most, given_more, *names = node.input
        most = int(known[given_most].item()) if given_most else self._most
        more = known[given_more] if given_more else np.array(True)
        state = [known[name] for name in names]
        for count in range(min(self._most, most)):
            if not more.item():
                return
            given = _named(subgraph, [np.array(count), more, *state])
            yield given
            more, *state = self._results(subgraph, known, given)[: 1 + len(state)]

    def _scan(
        self, node: onnx.NodeProto, subgraph: onnx.GraphProto, known: Arrays
    ) -> Iterator[Arrays]:
        said = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values = [known[name] for name in node.input]
        split = len(values) - said["num_scan_inputs"]
        state, scanned = values[:split], values[split:]
        axes = said.get("scan_input_axes") or [0] * len(scanned)
        backwards = said.get("scan_input_directions") or [0] * len(scanned)
        turns = list(zip(scanned, axes, backwards, strict=True))
        length = min((array.shape[axis] for array, axis, _ in turns), default=0)
        for count in range(min(self._most, length)):
            slices = [
                np.asarray(array.take(length - 1 - count if back else count, axis))
                for array, axis, back in turns
            ]
            given = _named(subgraph, [*state, *slices])
            yield given
            state = self._results(subgraph, known, given)[: len(state)]

    def _results(self, subgraph: onnx.GraphProto, known: Arrays, given: Arrays) -> list[Array]:
        seen = {**known, **self._held(subgraph), **given}
        seen |= self._run(subgraph, seen)
        if missing := [value.name for value in subgraph.output if value.name not in seen]:
            raise RuntimeFailedError(f"Its output {missing[0]} is no tensor.")
        return [seen[value.name] for value in subgraph.output]

    def _held(self, graph: onnx.GraphProto) -> dict[str, Array]:
        read = ((tensor.name, self._read(tensor)) for tensor in graph.initializer)
        return {name: array for name, array in read if array is not None}


def _named(subgraph: onnx.GraphProto, values: list[Array]) -> dict[str, Array]:
    return {value.name: array for value, array in zip(subgraph.input, values, strict=True)}


def _passed_on(made: Array, read: list[Array]) -> bool:
    """Whether an array holds the numbers of one that was read."""
    alike = [array for array in read if array.size == made.size]
    return any(np.array_equal(np.sort(a, axis=None), np.sort(made, axis=None)) for a in alike)


def extract_subgraph(
    model: onnx.ModelProto, graph: onnx.GraphProto, given: Arrays
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A subgraph as the main graph of a model, and its inputs: what it reads from around it.

    Args:
        model: Where the subgraph is.
        graph: The subgraph.
        given: Every value that it sees. Those that it reads become inputs.
    """
    made = onnx.ModelProto(ir_version=model.ir_version)
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    made.graph.name = graph.name
    made.graph.node.extend(graph.node)
    fed = {name: given[name] for name in dict.fromkeys(names_read(graph)) if name in given}
    for name, array in fed.items():
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        made.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
    return made, fed


def names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that the nodes of a graph and of its subgraphs read, and what subgraphs return."""
    for node in graph.node:
        yield from node.input
        for _, subgraph in subgraphs(node):
            yield from names_read(subgraph)
            yield from (value.name for value in subgraph.output)
