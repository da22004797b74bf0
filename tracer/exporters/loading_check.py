"""Whether onnxruntime can load what an exporter made."""

from collections.abc import Mapping

import onnx
import onnxruntime as ort
import torch

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.runtime_values import runtime_value
from modelexport.hierarchy.subgraphs import names_read
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import ExportedGraph


def loading_problem(exported: ExportedGraph) -> str | None:
    """Why onnxruntime cannot load an exported graph; None if it can.

    A graph whose weights have no values cannot be loaded at all, so it is not checked.
    """
    if exported.valueless:
        return None
    try:
        open_exported(exported.model, exported.weights)
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no class in common
        return f"onnxruntime cannot load what it made ({first_line(error)})"
    return None


def open_exported(model: onnx.ModelProto, weights: Mapping[str, Array]) -> ort.InferenceSession:
    """A session of an exported model, without optimisations.

    Args:
        model: The model.
        weights: The values of initializers that refer to memory, by name.

    Raises:
        Exception: onnxruntime cannot load it; its errors have no class in common.
    """
    outputs = (value.name for value in model.graph.output)
    needed = {*names_read(model.graph), *outputs}  # onnxruntime drops other initializers
    return ort.InferenceSession(
        model.SerializeToString(),
        session_options({name: weights[name] for name in weights if name in needed}),
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # it would print, and try the same again
    )


def session_options(weights: Mapping[str, Array]) -> ort.SessionOptions:
    """Options for one run without optimisations, with weights from memory.

    Args:
        weights: The values of initializers that refer to memory, by name.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = torch.get_num_threads()  # one limit for both
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")  # it pays after many runs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need it
    if weights:
        values = [runtime_value(ort.OrtValue, array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    return options
