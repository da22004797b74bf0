"""Records with fingerprints of weights and values, and files whose names say nothing."""

from collections.abc import Mapping

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Op, Probe, Record, Tensor
from tests.helpers.values import fingerprint


def with_fingerprints(
    record: Record, model: onnx.ModelProto, x: np.ndarray, values: Mapping[str, np.ndarray]
) -> Record:
    """The record of a model with the input `x`, and with fingerprints.

    Args:
        record: Of the model.
        model: Its weights get fingerprints.
        x: The recorded input `x`.
        values: What values of the main graph hold; others get no fingerprint.
    """
    arrays = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}

    def of_weight(tensor: Tensor) -> Tensor:
        return msgspec.structs.replace(tensor, weight=weight_fingerprint(arrays[tensor.name]))

    def of_result(op: Op) -> Op:
        if op.outputs[0] not in values:
            return op
        return msgspec.structs.replace(op, values=(fingerprint(values[op.outputs[0]]),))

    return msgspec.structs.replace(
        record,
        probe=Probe((ProbeInput.from_array("x", x),)),
        tensors=tuple(map(of_weight, record.tensors)),
        ops=tuple(map(of_result, record.ops)),
    )


def evaluated(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    """What the main graph computes out of the input `x`, by onnx's own evaluator."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output]
    del exposed.graph.output[:]
    exposed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return dict(zip(names, ReferenceEvaluator(exposed).run(None, {"x": x}), strict=True))


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with other names of nodes, of values and of weights."""
    for n, node in enumerate(model.graph.node):
        node.name = f"n{n}"
        node.input[:] = [f"v_{name}" for name in node.input]
        node.output[:] = [f"v_{name}" for name in node.output]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = f"v_{value.name}"
    return model
