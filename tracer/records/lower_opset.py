"""Converting an exported graph to the opset that the user chose, if it computes the same there."""

from collections.abc import Mapping

import numpy as np
import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array
from modelexport.support.progress import report_step
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.exporters.opset_conversion import NotConvertibleError, convert_opset
from modelexport.tracer.records.graph_values import graph_feed, run_graph
from modelexport.tracer.sources.signature import ModelCall


def lower_opset(exported: ExportedGraph, call: ModelCall, opset: int) -> ExportedGraph:
    """Convert a graph to the opset that the user chose, if its exporter cannot write one so low.

    The converted graph must compute the same bits on the example inputs, in onnxruntime without
    optimisations: its outputs, and what each changed node of the main graph computes. Otherwise the
    graph stays as it is, and a note says why.

    Args:
        exported: The graph.
        call: The call of the model on the example inputs.
        opset: Opset of the default domain that the user chose.
    """
    if exported.opset <= opset:
        return exported
    if call.mode is not None:
        return _keep_opset(exported, opset, "without weights, a conversion cannot be checked")
    report_step(f"converting to opset {opset}")
    try:
        converted = convert_opset(exported, opset)
        _require_equal_values(exported, converted, call)
    except (NotConvertibleError, RuntimeFailedError) as error:
        return _keep_opset(exported, opset, str(error).rstrip("."))
    note = (
        f"opset {opset}: converted from {exported.opset}, the lowest of the {exported.exporter} "
        "exporter; the values on the example inputs are the same"
    )
    return converted.with_notes(after=(note,))


def _keep_opset(exported: ExportedGraph, opset: int, reason: str) -> ExportedGraph:
    """A graph with a note that its opset is higher than the one that the user chose.

    Args:
        exported: The graph.
        opset: Opset of the default domain that the user chose.
        reason: Why the graph is not converted.
    """
    note = (
        f"opset {exported.opset} instead of {opset}: the {exported.exporter} exporter has none "
        "below it"
    )
    return exported.with_notes(after=(f"{note}; {reason}",))


@one_blas_thread()
def _require_equal_values(before: ExportedGraph, after: ExportedGraph, call: ModelCall) -> None:
    """Compare what two graphs with the same nodes compute on the example inputs.

    Raises:
        NotConvertibleError: A value differs, or none can be compared.
        RuntimeFailedError: onnxruntime cannot run one of the graphs.
    """
    feed = graph_feed(before.model.graph, call.tensors)
    names = _compared_names(before.model.graph, after.model.graph)
    original = run_graph(before, feed, names)
    converted = run_graph(after, feed, names)
    if not original:
        raise NotConvertibleError("it returns no tensor to check a conversion by")
    for name, array in original.items():
        if not _is_equal(array, converted, name):
            raise NotConvertibleError(
                f"converted, it computes other values of {name} on the example inputs"
            )


def _compared_names(before: onnx.GraphProto, after: onnx.GraphProto) -> list[str]:
    """Names of a graph's outputs, and of the values that changed nodes compute."""
    names = [value.name for value in before.output]
    for old, new in zip(before.node, after.node, strict=True):
        if old != new:
            names += filter(None, new.output)
    return list(dict.fromkeys(names))


def _is_equal(array: Array, others: Mapping[str, Array], name: str) -> bool:
    """Whether an array has the same type, shape and bits as the other one of its name."""
    other = others.get(name)
    if other is None or (array.dtype, array.shape) != (other.dtype, other.shape):
        return False
    if array.dtype.hasobject:
        return bool(np.array_equal(array, other))
    return array.tobytes() == other.tobytes()
