"""Fingerprints of every value of an exported graph on the probe inputs."""

from collections.abc import Mapping
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
from modelexport.hierarchy.subgraph_runner import SubgraphRunner
from modelexport.hierarchy.subgraphs import (
    computed_names,
    expose_values,
    extract_subgraph,
    names_read,
)
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import Exported

NOT_ASKED_FOR = "not asked for"
"""Why there are no fingerprints, when nobody wanted any."""

_REARRANGING = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators whose output holds the numbers of their first input, in another shape."""


def feed_of(graph: onnx.GraphProto, tensors: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """The graph's inputs by name; exporters drop inputs that the model never reads.

    Raises:
        RuntimeFailedError: An input of the graph is none of the traced ones.
    """
    feed = {}
    for value in graph.input:
        if value.name not in tensors:
            raise RuntimeFailedError(f"The exported graph has an input {value.name} of its own.")
        tensor = tensors[value.name].detach().cpu()
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if tensor.dtype is torch.bfloat16:
            tensor = tensor.float()
        feed[value.name] = tensor.numpy().astype(dtype, copy=False)
    return feed


@dataclass(frozen=True)
class Probed:
    """What an exported graph computes on the probe inputs.

    Attributes:
        feed: The probe inputs.
        values: The fingerprint of each value, by its graph's path and its name; in a subgraph, when
            it ran first.
        inside: What nodes in subgraphs made, each time that they ran.
        missing: Why there are none, when there are none.
    """

    feed: dict[str, Array]
    values: Mapping[tuple[str, str], ValueFingerprint] = field(default_factory=dict)
    inside: Mapping[NodeKey, list[ValueFingerprint]] = field(default_factory=dict)
    missing: str | None = None


def probe_values(exported: Exported, feed: dict[str, Array]) -> Probed:
    """Run an exported graph with all intermediates exposed.

    Optimisations are off, so that every value is there to be seen. What cannot be seen inside
    subgraphs is added to the notes.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(exported.graph)
    computed = _run(shown, exported.weights, feed)
    values = _fingerprints(shown.graph, computed)
    in_subgraphs = [key for key, _ in walk_nodes(exported.graph) if key.graph != MAIN]
    if not in_subgraphs:
        return Probed(feed, values)
    known = {**_main_weights(exported), **feed, **computed}
    inside = SubgraphRunner(partial(_run_subgraph, exported.graph)).run(exported.graph.graph, known)
    if any(key not in exported.scopes for key in in_subgraphs):
        exported.notes = (*exported.notes, *inside.failures)
    return Probed(feed, values | inside.first, inside.computed)


def _run_subgraph(
    model: onnx.ModelProto, subgraph: onnx.GraphProto, values: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a subgraph as a model of its own."""
    extracted, feed = extract_subgraph(model, subgraph, values)
    return _run(extracted, {}, feed) if subgraph.node else {}


def _main_weights(exported: Exported) -> dict[str, Array]:
    return {name: values for graph, name, values in exported.initializers() if graph == MAIN}


def _run(
    shown: onnx.ModelProto, weights: Mapping[str, Array], feed: Mapping[str, Array]
) -> dict[str, Array]:
    """Every tensor that a node of the main graph makes; the graph gets outputs for them.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph.
    """
    outputs = {value.name for value in shown.graph.output}
    names = computed_names(shown.graph)
    expose_values(shown.graph, names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = torch.get_num_threads()  # who limits torch means this, too
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")  # for one run only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others work beside
    read = {*names_read(shown.graph), *outputs}  # the runtime forgets what nobody reads
    given = {name: _value(array) for name, array in weights.items() if name in read}
    if given:
        options.add_external_initializers(list(given), list(given.values()))
    try:
        session = ort.InferenceSession(
            shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(names, dict(feed))
    except Exception as error:
        raise RuntimeFailedError(
            f"onnxruntime cannot run the exported graph ({first_line(error)})."
        ) from error
    pairs = zip(names, found, strict=True)
    return {name: array for name, array in pairs if isinstance(array, np.ndarray)}


def _fingerprints(
    graph: onnx.GraphProto, values: Mapping[str, Array]
) -> dict[tuple[str, str], ValueFingerprint]:
    """Of every value of the main graph; the same numbers in another shape are not sorted again."""
    rearranged = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type in _REARRANGING and node.input[0] in values and node.output[0] in values
    }
    others = [name for name in values if name not in rearranged]
    made = value_fingerprints([values[n] for n in others], threads=torch.get_num_threads())
    prints = dict(zip(others, made, strict=True))
    for name, source in rearranged.items():
        known = prints[source]
        prints[name] = known and msgspec.structs.replace(known, shape=values[name].shape)
    return {(MAIN, name): known for name, known in prints.items() if known is not None}


def _value(array: Array) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
