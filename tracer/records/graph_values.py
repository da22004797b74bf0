"""Computing fingerprints of every value of an exported graph, in onnxruntime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import torch

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, value_fingerprints
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, walk_nodes
from modelexport.hierarchy.runtime_values import run_limited
from modelexport.hierarchy.subgraph_runner import SubgraphRunner
from modelexport.hierarchy.subgraphs import (
    computed_names,
    expose_values,
    extract_subgraph,
)
from modelexport.support.error_texts import first_line
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.exporters.loading_check import open_exported

NOT_REQUESTED = "not asked for"
"""Why a record has no fingerprints when the user wanted none."""

REARRANGING = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators whose output has the elements of their first input, in another shape."""


@dataclass(frozen=True)
class GraphValues:
    """What an exported graph computes on the probe inputs.

    Attributes:
        feed: The probe inputs.
        first: The fingerprint of each value by the path of its graph and its name. In a subgraph,
            it is the value of the first run.
        in_subgraphs: Fingerprints of what nodes in subgraphs computed, from all runs.
        missing: Why there are no fingerprints; None when there are.
        notes: What could not be computed.
    """

    feed: Mapping[str, Array]
    first: Mapping[tuple[str, str], ValueFingerprint] = field(default_factory=dict)
    in_subgraphs: Mapping[NodeKey, list[ValueFingerprint]] = field(default_factory=dict)
    missing: str | None = None
    notes: tuple[str, ...] = ()


def graph_feed(graph: onnx.GraphProto, tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """The inputs of a graph by name. Exporters drop inputs that the model never reads.

    Inputs of types that numpy cannot hold are left out.

    Args:
        graph: The graph.
        tensors: The inputs of the model.

    Raises:
        RuntimeFailedError: The graph has an input that is not one of these.
    """
    feed = {}
    for value in graph.input:
        if value.name not in tensors:
            raise RuntimeFailedError(
                f"The exported graph has an input {value.name} that the model does not have."
            )
        array = _input_array(value, tensors[value.name])
        if array is not None:
            feed[value.name] = array
    return feed


def _input_array(value: onnx.ValueInfoProto, tensor: torch.Tensor) -> Array | None:
    """A tensor in the type of an input; None where numpy cannot hold it.

    ONNX has few operators for complex numbers: exporters write pairs of real ones.
    """
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    if tensor.is_complex() and dtype.kind != "c":
        tensor = torch.view_as_real(tensor.resolve_conj())
    array = to_numpy(tensor)
    return None if array is None else array.astype(dtype, copy=False)


def compute_values(exported: ExportedGraph, feed: Mapping[str, Array]) -> GraphValues:
    """Run an exported graph with all intermediate values exposed.

    Optimisations are off, so that every value is computed.

    Args:
        exported: The graph.
        feed: Its inputs.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph, or there is an input whose
            values numpy cannot hold.
    """
    computed = run_graph(exported, feed, computed_names(exported.model.graph))
    first = _fingerprints(exported.model.graph, computed)
    in_subgraphs = [key for key, _ in walk_nodes(exported.model) if key.graph != MAIN]
    if not in_subgraphs:
        return GraphValues(feed, first)
    values = {**_main_initializers(exported), **feed, **computed}
    runner = SubgraphRunner(partial(_run_subgraph, exported.model))
    inside = runner.run(exported.model.graph, values)
    needed = any(key not in exported.scopes for key in in_subgraphs)
    notes = tuple(inside.failures) if needed else ()
    return GraphValues(feed, first | inside.first, inside.computed, notes=notes)


def run_graph(
    exported: ExportedGraph, feed: Mapping[str, Array], names: Sequence[str]
) -> dict[str, Array]:
    """Run an exported graph without optimisations.

    Args:
        exported: The graph. It stays as it is.
        feed: Its inputs.
        names: Names of values of the main graph.

    Returns:
        The tensors among these values, by name.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph, or there is an input whose
            values numpy cannot hold.
    """
    unfed = [value.name for value in exported.model.graph.input if value.name not in feed]
    if unfed:
        raise RuntimeFailedError(f"numpy cannot hold the values of the input {unfed[0]}")
    exposed = onnx.ModelProto()
    exposed.CopyFrom(exported.model)
    return _run_for(exposed, exported.weights, feed, names)


def _run_subgraph(
    model: onnx.ModelProto, subgraph: onnx.GraphProto, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a subgraph as a model of its own."""
    extracted, feed = extract_subgraph(model, subgraph, values)
    return _run(extracted, {}, feed) if subgraph.node else {}


def _main_initializers(exported: ExportedGraph) -> dict[str, Array]:
    return {
        name: values
        for graph, name, values in exported.initializers()
        if graph == MAIN and values is not None
    }


def _run(
    model: onnx.ModelProto, weights: Mapping[str, Array], feed: Mapping[str, Array]
) -> dict[str, Array]:
    """Every tensor that a node of the main graph computes, by name.

    Args:
        model: The model. Its graph gets an output for each value.
        weights: The values of initializers that refer to memory.
        feed: The inputs.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph.
    """
    return _run_for(model, weights, feed, computed_names(model.graph))


def _run_for(
    model: onnx.ModelProto,
    weights: Mapping[str, Array],
    feed: Mapping[str, Array],
    names: Sequence[str],
) -> dict[str, Array]:
    """The tensors among some values, by name; otherwise as `_run`."""
    expose_values(model.graph, names)
    try:
        session = open_exported(model, weights)
        results = run_limited(session, ort, names, feed)
    except Exception as error:
        raise RuntimeFailedError(
            f"onnxruntime cannot run the exported graph ({first_line(error)})."
        ) from error
    pairs = zip(names, results, strict=True)
    return {name: array for name, array in pairs if isinstance(array, np.ndarray)}


def _fingerprints(
    graph: onnx.GraphProto, values: Mapping[str, Array]
) -> dict[tuple[str, str], ValueFingerprint]:
    """The fingerprints of values of the main graph, by graph path and name.

    A value that only rearranges another one gets the fingerprint of that one with its own shape,
    which saves sorting the same elements again.
    """
    rearranged = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type in REARRANGING and node.input[0] in values and node.output[0] in values
    }
    names = [name for name in values if name not in rearranged]
    computed = value_fingerprints([values[name] for name in names], threads=torch.get_num_threads())
    fingerprints = dict(zip(names, computed, strict=True))
    for name, source in rearranged.items():
        original = fingerprints[source]
        fingerprints[name] = original and msgspec.structs.replace(
            original, shape=values[name].shape
        )
    return {
        (MAIN, name): fingerprint
        for name, fingerprint in fingerprints.items()
        if fingerprint is not None
    }
