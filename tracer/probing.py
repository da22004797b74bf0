"""Fingerprints of every value of an exported graph on the probe inputs."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import torch

from hierarchy.errors import RuntimeFailedError
from hierarchy.fingerprint import Array, ValueFingerprint, value_fingerprint
from tracer.exporters.exported import Exported

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


def probe_values(exported: Exported, feed: Mapping[str, Array]) -> dict[str, ValueFingerprint]:
    """Run an exported graph with all intermediates exposed.

    Optimisations are off, so that every value is there to be seen.

    Returns:
        The fingerprint of each output of each node of the main graph, by name.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the graph.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(exported.graph)
    declared = {value.name for value in shown.graph.output}
    names = [name for node in shown.graph.node for name in node.output if name]
    shown.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in declared)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = torch.get_num_threads()  # who limits torch means this, too
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")  # for one run only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others work beside
    if exported.weights:
        values = [_value(weight) for weight in exported.weights.values()]
        options.add_external_initializers(list(exported.weights), values)
    try:
        session = ort.InferenceSession(
            shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = session.run(names, dict(feed))
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailedError(f"onnxruntime cannot run the exported graph ({first}).") from error
    computed = {
        name: array
        for name, array in zip(names, found, strict=True)
        if isinstance(array, np.ndarray)
    }
    return _fingerprints(shown.graph, computed)


def _fingerprints(
    graph: onnx.GraphProto, values: Mapping[str, Array]
) -> dict[str, ValueFingerprint]:
    """Of every value; the same numbers in another shape are not sorted again."""
    rearranged = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type in _REARRANGING and node.input[0] in values and node.output[0] in values
    }
    others = [name for name in values if name not in rearranged]
    with ThreadPoolExecutor() as pool:
        prints = dict(
            zip(others, pool.map(value_fingerprint, map(values.get, others)), strict=True)
        )
    for name, source in rearranged.items():
        known = prints[source]
        prints[name] = known and msgspec.structs.replace(known, shape=values[name].shape)
    return {name: known for name, known in prints.items() if known is not None}


def _value(array: Array) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
