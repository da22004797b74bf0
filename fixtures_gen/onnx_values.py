"""What an ONNX file computes: inputs and outputs of every node, those in subgraphs included."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from fixtures_gen.eager import Sorted, in_order
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraph_path, subgraphs

_MAX_BYTES = 1 << 28
"""Maximum size of the sorted arrays that are kept, in bytes: nodes read what the last ones made."""

Array = npt.NDArray[Any]
Values = dict[str, Array]


@dataclass
class Execution:
    """One execution of a node: the arrays that it read, and those that it computed."""

    inputs: list[Array]
    outputs: list[Array]


@dataclass
class Observed:
    """The executions of each node: none in a branch that was not taken, several in a loop.

    Attributes:
        model: The file.
        inputs: What it was given.
        executions: The executions of each node.
    """

    model: onnx.ModelProto
    inputs: list[Array] = field(default_factory=list)
    executions: dict[NodeKey, list[Execution]] = field(default_factory=lambda: defaultdict(list))
    _sorted: OrderedDict[int, tuple[Array, Sorted]] = field(default_factory=OrderedDict)
    _sorted_bytes: int = 0

    def in_order(self, array: Array) -> Sorted:
        """The elements of one of the arrays, sorted. The last ones that were asked for are kept."""
        _, ordered = self._sorted.pop(id(array), (array, None))
        if ordered is None:
            ordered = in_order(array)
            self._sorted_bytes += ordered.nbytes
        self._sorted[id(array)] = array, ordered  # the array is kept, so its id stays its own
        while self._sorted_bytes > _MAX_BYTES and len(self._sorted) > 1:
            self._sorted_bytes -= self._sorted.popitem(last=False)[1][1].nbytes
        return ordered


def observe(onnx_path: Path, feeds: Mapping[str, Array]) -> Observed:
    """Run a file without optimisations, with every value exposed."""
    observed = Observed(onnx.load(onnx_path), list(feeds.values()))
    _run(observed, observed.model.graph, MAIN, dict(feeds), {})
    return observed


def _run(
    observed: Observed, graph: onnx.GraphProto, path: str, feeds: Values, outer: Values
) -> None:
    """Run one graph, then its subgraphs as often as they ran.

    Args:
        observed: Gets the executions.
        graph: The graph.
        path: Its path.
        feeds: Its inputs.
        outer: The values of the graphs around it.
    """
    values = outer | _initializers(graph) | feeds
    values |= _run_session(observed.model, graph, values)
    for position, node in enumerate(graph.node):
        execution = Execution(
            *([values[n] for n in names if n in values] for names in (node.input, node.output))
        )
        observed.executions[NodeKey(path, position)].append(execution)
        for name, subgraph in subgraphs(node):
            inside = subgraph_path(path, position, name)
            for subgraph_feeds in _subgraph_runs(observed.model, node, name, subgraph, values):
                _run(observed, subgraph, inside, subgraph_feeds, values)


def _run_session(model: onnx.ModelProto, graph: onnx.GraphProto, values: Values) -> Values:
    """Every output of every node of a graph; what it reads from outside becomes its inputs."""
    exposed = onnx.ModelProto(ir_version=model.ir_version)
    exposed.opset_import.extend(model.opset_import)
    exposed.functions.extend(model.functions)
    exposed.graph.name = "observed"
    exposed.graph.node.extend(graph.node)
    outputs = [name for node in graph.node for name in node.output if name]
    read = [name for name in dict.fromkeys(_names_read(graph)) if name in values]
    exposed.graph.input.extend(_declaration(name, values[name]) for name in read)
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    if not outputs:
        return {}
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        exposed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results = session.run(outputs, {name: values[name] for name in read})
    pairs = zip(outputs, results, strict=True)
    return {name: value for name, value in pairs if isinstance(value, np.ndarray)}


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for _, subgraph in subgraphs(node):
            yield from _names_read(subgraph)


def _declaration(name: str, array: Array) -> onnx.ValueInfoProto:
    dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, dtype, array.shape)


def _initializers(graph: onnx.GraphProto) -> Values:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _subgraph_runs(
    model: onnx.ModelProto,
    node: onnx.NodeProto,
    name: str,
    subgraph: onnx.GraphProto,
    values: Values,
) -> Iterator[Values]:
    """The inputs of a subgraph, each time that it ran."""
    if node.op_type == "If":
        if name == ("then_branch" if values[node.input[0]].item() else "else_branch"):
            yield {}
    elif node.op_type == "Loop":
        yield from _iterations(model, node, subgraph, values)
    elif node.op_type == "Scan":
        yield from _scan_steps(model, node, subgraph, values)
    else:
        raise NotImplementedError(f"The subgraphs of {node.op_type} cannot be followed yet.")


def _iterations(
    model: onnx.ModelProto, node: onnx.NodeProto, subgraph: onnx.GraphProto, values: Values
) -> Iterator[Values]:
    """The inputs of each iteration of a Loop: its number, the condition, the carried values."""
    limit, condition, *carried = (values.get(name) for name in node.input)
    count = 0
    while (limit is None or count < limit.item()) and (condition is None or condition.item()):
        state = [np.array(count), condition if condition is not None else np.array(True), *carried]
        names = [value.name for value in subgraph.input]
        feeds = {n: a for n, a in zip(names, state, strict=True) if a is not None}
        yield feeds
        results = _subgraph_outputs(model, subgraph, values, feeds)
        condition, carried = results[0], list(results[1 : 1 + len(carried)])
        count += 1


def _scan_steps(
    model: onnx.ModelProto, node: onnx.NodeProto, subgraph: onnx.GraphProto, values: Values
) -> Iterator[Values]:
    """The inputs of each step of a Scan along the first axis."""
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if any(any(value) for name, value in settings.items() if name.startswith("scan_input")):
        raise NotImplementedError("Scans along another axis or backwards cannot be followed yet.")
    count = settings["num_scan_inputs"]
    carried = [values[name] for name in node.input[:-count]]
    for rows in zip(*(values[name] for name in node.input[-count:]), strict=True):
        names = [value.name for value in subgraph.input]
        feeds = dict(zip(names, [*carried, *rows], strict=True))
        yield feeds
        carried = _subgraph_outputs(model, subgraph, values, feeds)[: len(carried)]


def _subgraph_outputs(
    model: onnx.ModelProto, subgraph: onnx.GraphProto, outer: Values, feeds: Values
) -> list[Array]:
    """The outputs of a subgraph that runs once on its inputs."""
    inside = outer | _initializers(subgraph) | feeds
    inside |= _run_session(model, subgraph, inside)
    return [inside[value.name] for value in subgraph.output]
