"""Writing the names and types of values: inputs, outputs, value infos, quantisation annotations."""

from collections.abc import Iterator
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from modelexport.rewriter.graph.subgraph_names import initializer_names
from modelexport.rewriter.surgery.initializers import Ids
from modelexport.rewriter.surgery.origins import GraphOrigin, Origins
from modelexport.rewriter.surgery.tensor_state import tensor_state, used_tensors

_Infos = dict[str, onnx.ValueInfoProto]
"""Earlier value infos by name."""


class ValueInfoWriter:
    """Writes what graphs say about their values.

    Args:
        origins: The origins of all objects.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins

    def write_inputs_and_outputs(self, message: onnx.GraphProto, origin: GraphOrigin) -> None:
        """Write inputs and outputs of a graph whose initializers are written already."""
        graph, earlier = origin.object, origin.message
        assert isinstance(earlier, onnx.GraphProto)
        infos = _by_name(earlier.input)
        inputs = [self._info(tensor, infos) for tensor in graph.inputs]
        message.input.extend(_with_defaults(message, origin, earlier, inputs))
        infos = _by_name(earlier.output)
        message.output.extend(self._info(tensor, infos) for tensor in graph.outputs)

    def write_value_infos(
        self, message: onnx.GraphProto, origin: GraphOrigin, in_use: set[int], outer: Ids
    ) -> None:
        """Write the value infos of a graph: the earlier ones, then those of changed values.

        Args:
            message: The graph to write into.
            origin: Its origin.
            in_use: Identities of the tensors that the graph and its subgraphs use.
            outer: Identities of tensors that have no value info here.
        """
        message.value_info.extend(self.earlier_infos(origin, in_use))
        described = {v.name for v in (*message.value_info, *message.input, *message.output)}
        for tensor in used_tensors(origin.object):
            before = self._origins.of_tensor(tensor)
            changed = before is None or tensor_state(tensor).differs(before.state)
            if changed and id(tensor) not in outer and tensor.name not in described:
                described.add(tensor.name)
                if isinstance(tensor, gs.Variable) and tensor.dtype is not None:
                    message.value_info.append(_new_info(tensor))

    def earlier_infos(self, origin: GraphOrigin, in_use: set[int]) -> Iterator[onnx.ValueInfoProto]:
        """The value infos that a graph or function had, for tensors that are still in use."""
        infos = _by_name(origin.message.value_info)
        for value in origin.message.value_info:
            tensor = origin.tensors.get(value.name)
            if tensor is None:
                yield value
            elif id(tensor.object) in in_use:
                yield self._info(tensor.object, infos)

    def _info(self, tensor: Any, infos: _Infos) -> onnx.ValueInfoProto:
        """The value info of a tensor: the earlier one, with what an edit changed."""
        origin = self._origins.of_tensor(tensor)
        earlier = None if origin is None else infos.get(origin.state.name)
        if origin is None or earlier is None:
            return _new_info(tensor)
        state = tensor_state(tensor)
        if not state.differs(origin.state):
            return earlier
        info = onnx.ValueInfoProto()
        info.CopyFrom(earlier)
        info.name = state.name
        if state.type_differs(origin.state):
            info.type.CopyFrom(_new_info(tensor).type)
        return info


def write_quantization(message: onnx.GraphProto, origin: GraphOrigin, in_use: set[int]) -> None:
    """Write the quantisation annotations of a graph, for tensors that are still in use."""
    assert isinstance(origin.message, onnx.GraphProto)
    for annotation in origin.message.quantization_annotation:
        tensor = origin.tensors.get(annotation.tensor_name)
        if tensor is not None and id(tensor.object) not in in_use:
            continue
        written = message.quantization_annotation.add()
        written.CopyFrom(annotation)
        if tensor is not None:
            written.tensor_name = tensor.object.name
        for entry in written.quant_parameter_tensor_names:
            if entry.value in origin.tensors:
                entry.value = origin.tensors[entry.value].object.name


def _with_defaults(
    message: onnx.GraphProto,
    origin: GraphOrigin,
    earlier: onnx.GraphProto,
    inputs: list[onnx.ValueInfoProto],
) -> Iterator[onnx.ValueInfoProto]:
    """The inputs, with those that have an initializer as their default value.

    These keep their places among the inputs, unless an edit changed the list of inputs.
    """
    defaults = initializer_names(message)
    if list(map(id, origin.object.inputs)) != list(map(id, origin.inputs)):
        yield from inputs
        yield from (value for value in earlier.input if value.name in defaults)
        return
    rest = iter(inputs)
    earlier_defaults = initializer_names(earlier)
    for value in earlier.input:
        if value.name not in earlier_defaults:
            yield next(rest)
        elif value.name in defaults:
            yield value


def _by_name(infos: Any) -> _Infos:
    return {info.name: info for info in infos}


def _new_info(tensor: Any) -> onnx.ValueInfoProto:
    info: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, False)
    return info
