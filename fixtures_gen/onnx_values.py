"""What an ONNX file computes: inputs and outputs of every node, subgraphs included."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraphs

Array = npt.NDArray[Any]
Values = dict[str, Array]


@dataclass
class Execution:
    """One execution of a node: the arrays it read and those it wrote."""

    inputs: list[Array]
    outputs: list[Array]


@dataclass
class Observed:
    """Executions by node: none in a branch not taken, several in a loop."""

    model: onnx.ModelProto
    executions: dict[NodeKey, list[Execution]] = field(default_factory=lambda: defaultdict(list))


def observe(onnx_path: Path, feeds: Mapping[str, Array]) -> Observed:
    """Run a file with nothing optimised and everything exposed."""
    observed = Observed(onnx.load(onnx_path))
    _run(observed, observed.model.graph, MAIN, dict(feeds), {})
    return observed


def _run(
    observed: Observed, graph: onnx.GraphProto, path: str, feeds: Values, outer: Values
) -> Values:
    """Run one graph, then its subgraphs as they ran; gives every value by name."""
    known = outer | {t.name: numpy_helper.to_array(t) for t in graph.initializer} | feeds
    made = _session_run(observed.model, graph, known)
    known = known | made
    for position, node in enumerate(graph.node):
        key = NodeKey(path, position)
        execution = Execution(
            *([known[n] for n in names if n in known] for names in (node.input, node.output))
        )
        observed.executions[key].append(execution)
        for name, subgraph in subgraphs(node):
            inside = f"{path}/{position}.{name}"
            for subgraph_feeds in _subgraph_runs(observed, node, name, subgraph, inside, known):
                _run(observed, subgraph, inside, subgraph_feeds, known)
    return known


def _session_run(model: onnx.ModelProto, graph: onnx.GraphProto, known: Values) -> Values:
    """Every output of every node of a graph; what it reads from outside comes in as inputs."""
    shown = onnx.ModelProto(ir_version=model.ir_version)
    shown.opset_import.extend(model.opset_import)
    shown.functions.extend(model.functions)
    shown.graph.name = "observed"
    shown.graph.node.extend(graph.node)
    outputs = [name for node in graph.node for name in node.output if name]
    read = [name for name in dict.fromkeys(_names_read(graph)) if name in known]
    shown.graph.input.extend(_declared(name, known[name]) for name in read)
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    if not outputs:
        return {}
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    found = session.run(outputs, {name: known[name] for name in read})
    pairs = zip(outputs, found, strict=True)
    return {name: value for name, value in pairs if isinstance(value, np.ndarray)}


def _names_read(graph: onnx.GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield from node.input
        for _, subgraph in subgraphs(node):
            yield from _names_read(subgraph)


def _declared(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor_value_info(name, kind, array.shape)


def _subgraph_runs(
    observed: Observed,
    node: onnx.NodeProto,
    name: str,
    subgraph: onnx.GraphProto,
    path: str,
    known: Values,
) -> Iterator[Values]:
    """What the inputs of a subgraph were, each time that it ran."""
    if node.op_type == "If":
        if name == ("then_branch" if known[node.input[0]].item() else "else_branch"):
            yield {}
    elif node.op_type == "Loop":
        yield from _iterations(observed.model, node, subgraph, known)
    elif node.op_type == "Scan":
        yield from _steps(observed.model, node, subgraph, known)
    else:
        raise NotImplementedError(f"{path}: no fixture has needed a {node.op_type} so far.")


def _iterations(
    model: onnx.ModelProto, node: onnx.NodeProto, subgraph: onnx.GraphProto, known: Values
) -> Iterator[Values]:
    """Follow a Loop: count, condition and carried values of each iteration."""
    most, condition, *carried = (known.get(name) for name in node.input)
    count = 0
    while (most is None or count < most.item()) and (condition is None or condition.item()):
        state = [np.array(count), condition if condition is not None else np.array(True), *carried]
        names = [value.name for value in subgraph.input]
        feeds = {n: a for n, a in zip(names, state, strict=True) if a is not None}
        yield feeds
        held = {t.name: numpy_helper.to_array(t) for t in subgraph.initializer}
        inside = known | held | feeds
        inside |= _session_run(model, subgraph, inside)
        results = [inside[value.name] for value in subgraph.output]
        condition, carried = results[0], list(results[1 : 1 + len(carried)])
        count += 1


def _steps(
    model: onnx.ModelProto, node: onnx.NodeProto, subgraph: onnx.GraphProto, known: Values
) -> Iterator[Values]:
    """Follow a Scan along the first axis of what it scans."""
    settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if any(any(given) for name, given in settings.items() if name.startswith("scan_input")):
        raise NotImplementedError("No fixture has needed another axis or direction so far.")
    count = settings["num_scan_inputs"]
    carried = [known[name] for name in node.input[:-count]]
    for rows in zip(*(known[name] for name in node.input[-count:]), strict=True):
        names = [value.name for value in subgraph.input]
        feeds = dict(zip(names, [*carried, *rows], strict=True))
        yield feeds
        inside = known | {t.name: numpy_helper.to_array(t) for t in subgraph.initializer} | feeds
        inside |= _session_run(model, subgraph, inside)
        carried = [inside[value.name] for value in subgraph.output][: len(carried)]
