"""The TorchScript exporter (`torch.onnx.export(..., dynamo=False)`), with exact scopes.

What depends on the inside of torch's exporter is in this file:

- While torch traces, it pushes a scope name for each module that it enters. It looks this name up
  in a map. A pre-hook on every module changes the name in this map, so that it has the number of
  the module and of the call, in a part that never reaches the ONNX file. So a module that is
  called twice, a Sequential inside a Sequential, or a name that looks like a counter cannot be
  mistaken for something else.
- Just before the graph is serialised, each of its nodes still has its scope name and its source
  line. They are read at this moment.
- torch serialises a graph together with its weights. It gets empty tensors in place of the large
  weights. So protobuf never copies these, and there is no limit of 2 GiB.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import onnx
import torch
from torch import nn
from torch.onnx._internal.torchscript_exporter import onnx_proto_utils
from torch.onnx._internal.torchscript_exporter._type_utils import JitScalarType
from torch.onnx.errors import OnnxExporterError

from modelexport.errors import ExportFailedError
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import (
    ExportedGraph,
    ExportSettings,
    Scope,
    refer_to_memory,
)
from modelexport.tracer.exporters.source_lines import innermost_line
from modelexport.tracer.sources.signature import ModelCall, flat_forward
from modelexport.tracer.sources.weightless import NO_WEIGHTS

_MARK = re.compile(r"modelexport(?P<module>\d+)_(?P<call>\d+)::")


def export(model: nn.Module, call: ModelCall, settings: ExportSettings) -> ExportedGraph:
    """Export a model, with the scope of each node.

    Raises:
        ExportFailedError: torch could not export it; the message is torch's first line.
    """
    if call.mode is not None:
        raise ExportFailedError(f"it needs the values of weights, and {NO_WEIGHTS}")
    _refuse_unknown_types(model, call)
    capture = _Capture()
    with (
        warnings.catch_warnings(),
        flat_forward(model, call),
        _marked_scopes(model),
        capture.patches(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model,
                tuple(call.tensors.values()),
                "unused",
                dynamo=False,
                opset_version=settings.opset,
                input_names=list(call.tensors),
                output_names=list(call.output_names),
                dynamic_axes=_dynamic_axes(call) or None,
            )
        except Exception as error:
            error.add_note("\n".join(capture.log))  # tracebacks show it, and nothing else does
            raise ExportFailedError(first_line(error, with_type=True)) from error
    exported = onnx.load_model_from_string(capture.data)
    weights = refer_to_memory(exported, capture.weights)
    scopes, source_lines = _read_capture(exported, capture, model)
    return ExportedGraph(
        Exporter.TORCHSCRIPT, exported, weights, scopes, source_lines, settings.opset
    )


def _refuse_unknown_types(model: nn.Module, call: ModelCall) -> None:
    """Refuse types that TorchScript does not know: with some of them, torch ends the process."""
    named = (*model.named_parameters(), *model.named_buffers(), *call.tensors.items())
    for name, tensor in named:
        try:
            JitScalarType.from_dtype(tensor.dtype)
        except OnnxExporterError as error:
            raise ExportFailedError(f"it has no type for {name}, {tensor.dtype}") from error


class _CapturedNode(NamedTuple):
    """What torch knows about a node: its scope name, and its stack trace."""

    scope: str = ""
    trace: str = ""


class _Capture:
    """What is read from torch's graph before torch deletes it.

    Attributes:
        data: The serialised model.
        nodes: The nodes by the names of their outputs.
        weights: Shape and bytes of large initializers by name.
        log: What torch logs; it would print whole graphs.
    """

    def __init__(self) -> None:
        self.data = b""
        self.nodes: dict[str, _CapturedNode] = {}
        self.weights: dict[str, tuple[tuple[int, ...], Array]] = {}
        self.log: list[str] = []

    @contextmanager
    def patches(self) -> Iterator[None]:
        """Replace the exporter's log and its last steps by functions that keep their arguments."""
        assign_names = torch._C._jit_pass_onnx_assign_scoped_names_for_node_and_value
        serialise = torch._C.Graph._export_onnx  # type: ignore[attr-defined]

        def assign_names_and_read(graph: torch._C.Graph) -> None:
            assign_names(graph)
            self._read(graph)

        def serialise_without_weights(
            graph: torch._C.Graph, weights: dict[str, torch.Tensor], *options: Any
        ) -> Any:
            return serialise(graph, self._lift(weights), *options)

        def keep_log(*parts: Any) -> None:
            self.log.append("".join(map(str, parts)))

        def keep_data(data: bytes, *_: Any) -> None:
            self.data = data

        patches = (
            (torch._C, assign_names.__name__, assign_names_and_read),
            (torch._C.Graph, serialise.__name__, serialise_without_weights),
            (torch._C, torch._C._jit_onnx_log.__name__, keep_log),
            (onnx_proto_utils, "_export_file", keep_data),
        )
        with ExitStack() as stack:
            for owner, name, replacement in patches:
                stack.enter_context(mock.patch.object(owner, name, replacement))
            yield

    def _lift(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Keep the large weights; return the weights with empty ones of their type instead."""
        remaining = dict(weights)
        for name, tensor in weights.items():
            if tensor.numel() * tensor.element_size() < MIN_WEIGHT_BYTES:
                continue
            if (stored := _stored_bytes(tensor)) is not None:
                self.weights[name] = (tuple(tensor.shape), stored)
                remaining[name] = torch.empty(0, dtype=tensor.dtype)
        return remaining

    def _read(self, block: Any) -> None:
        for node in block.nodes():
            for output in node.outputs():
                name = output.debugName()
                self.nodes[name] = _CapturedNode(node.scopeName(), node.sourceRange())
            for inner in node.blocks():
                self._read(inner)


@contextmanager
def _marked_scopes(model: nn.Module) -> Iterator[None]:
    """Put the number of the module and of its call into each scope name while torch traces."""
    numbers = {module: index for index, (_, module) in enumerate(model.named_modules())}
    calls: Counter[nn.Module] = Counter()

    def mark(module: nn.Module, _: Any) -> None:
        names = torch.jit._trace._trace_module_map
        if names is None or torch._C._get_tracing_state() is None:
            return
        name = names[module].rpartition("::")[2]
        names[module] = f"modelexport{numbers[module]}_{calls[module]}::{name}"
        calls[module] += 1

    plain = [module for module in numbers if not isinstance(module, torch.jit.ScriptModule)]
    handles = [module.register_forward_pre_hook(mark) for module in plain]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _read_capture(
    exported: onnx.ModelProto, capture: _Capture, model: nn.Module
) -> tuple[dict[NodeKey, Scope], dict[NodeKey, str]]:
    """The scopes of the nodes that ran in a module, and the source lines of these nodes.

    The lines of other nodes are in the exporter's own code.
    """
    paths = [path for path, _ in model.named_modules()]
    scopes, source_lines = {}, {}
    for key, node in walk_nodes(exported):
        captured = (capture.nodes[name] for name in node.output if name in capture.nodes)
        scope_name, trace = next(captured, _CapturedNode())
        if (scope := _innermost_scope(scope_name, paths)) is None:
            continue
        scopes[key] = scope
        if (line := innermost_line(trace)) is not None:
            source_lines[key] = line
    return scopes, source_lines


def _innermost_scope(name: str, paths: list[str]) -> Scope | None:
    """The last module in a scope name."""
    marks = [*_MARK.finditer(name)]
    return Scope(paths[int(marks[-1]["module"])], int(marks[-1]["call"])) if marks else None


def _dynamic_axes(call: ModelCall) -> dict[str, dict[int, str]]:
    """The names of all dynamic axes; an axis without a name gets one."""
    return {
        name: {axis: axis_name or f"{name}_{axis}" for axis, axis_name in axes.items()}
        for name, axes in call.axes.items()
    }


def _stored_bytes(tensor: torch.Tensor) -> Array | None:
    """The bytes by which a tensor is stored; None for types that torch has to encode itself."""
    if tensor.is_quantized or tensor.layout is not torch.strided:
        return None
    dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return dense.reshape(-1).view(torch.uint8).numpy()
