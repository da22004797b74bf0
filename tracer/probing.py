"""Fingerprints of every value of an exported graph on the probe inputs."""

import logging
from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime as ort
import torch

from hierarchy.errors import RuntimeFailedError
from hierarchy.fingerprint import Array, ValueFingerprint, value_fingerprint
from hierarchy.graphs import MAIN
from tracer.exporters.exported import Exported

logger = logging.getLogger(__name__)


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
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")  # for one run only
    weights = {name: array for (graph, name), array in exported.weights.items() if graph == MAIN}
    if weights:
        options.add_external_initializers(list(weights), [_value(w) for w in weights.values()])
    try:
        session = ort.InferenceSession(
            shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        values = session.run(names, dict(feed))
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise RuntimeFailedError(f"onnxruntime cannot run the exported graph ({first}).") from error
    found = {}
    for name, value in zip(names, values, strict=True):
        print_ = value_fingerprint(value) if isinstance(value, np.ndarray) else None
        if print_ is not None:
            found[name] = print_
    return found


def _value(array: Array) -> ort.OrtValue:
    return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
