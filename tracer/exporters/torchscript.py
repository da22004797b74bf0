"""The TorchScript exporter (`torch.onnx.export(..., dynamo=False)`), with exact scopes.

Everything that leans on the inside of torch's exporter stands in this file:

- While tracing, torch pushes a scope name for each module it enters, looked up in a map by
  module. A pre-hook on every module writes there which module it is and which call of it, in
  the part of the name that never reaches the ONNX file. So a module called twice, a
  Sequential inside a Sequential or a name that looks like a counter cannot be confused.
- Just before the graph is serialised, each of its nodes still knows its scope and its source
  line; they are read there.
- torch serialises a graph together with its weights. It is given empty ones instead of the
  large ones, which so never pass protobuf: it costs less, and there is no limit of 2 GiB.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import onnx
import torch
from torch import nn
from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

from modelexport.errors import ExportFailedError
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import Exported, Scope, put_back
from modelexport.tracer.exporters.source_lines import innermost_line
from modelexport.tracer.sources.signature import Call, flat_forward

MAX_OPSET = 20
"""The highest opset that torch's TorchScript exporter writes."""

_MARK = re.compile(r"modelexport(?P<module>\d+)_(?P<call>\d+)::")


def export(model: nn.Module, call: Call, *, opset: int) -> Exported:
    """Export a model, the scopes beside it.

    Raises:
        ExportFailedError: torch could not export it; the message is torch's first line.
    """
    captured = _Captured()
    paths = [path for path, _ in model.named_modules()]
    with (
        warnings.catch_warnings(),
        flat_forward(model, call),
        _marked_scopes(model),
        captured.patches(),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model,
                tuple(call.tensors.values()),
                "unused",
                dynamo=False,
                opset_version=opset,
                input_names=list(call.tensors),
                output_names=call.outputs,
                dynamic_axes=_dynamic_axes(call) or None,
            )
        except Exception as error:
            raise ExportFailedError(first_line(error, with_type=True)) from error
    graph = onnx.load_model_from_string(captured.data)
    weights = put_back(graph, captured.weights)
    scopes, sources = {}, {}
    for key, node in walk_nodes(graph):
        found = next((captured.nodes[o] for o in node.output if o in captured.nodes), ("", ""))
        if (scope := _innermost(found[0], paths)) is not None:
            scopes[key] = scope
        if (line := innermost_line(found[1])) is not None:
            sources[key] = line
    return Exported(Exporter.TORCHSCRIPT, graph, weights, scopes, _own(sources, scopes), opset)


def _own(sources: dict[NodeKey, str], scopes: dict[NodeKey, Scope]) -> dict[NodeKey, str]:
    """Lines of the nodes that ran in a module; the others' lines are the exporter's own."""
    return {key: line for key, line in sources.items() if key in scopes}


class _Captured:
    """What is read from torch's graph before it is gone."""

    def __init__(self) -> None:
        self.data = b""
        self.nodes: dict[str, tuple[str, str]] = {}
        """Scope name and source range by output name."""
        self.weights: dict[str, tuple[tuple[int, ...], Array]] = {}
        """Shape and bytes of large initializers by name."""

    @contextmanager
    def patches(self) -> Iterator[None]:
        """Listen in on the exporter's last three steps."""
        assign_names = torch._C._jit_pass_onnx_assign_scoped_names_for_node_and_value
        serialise = torch._C.Graph._export_onnx  # type: ignore[attr-defined]

        def assigned(graph: torch._C.Graph) -> None:
            assign_names(graph)
            self._read(graph)

        def without_weights(
            graph: torch._C.Graph, weights: dict[str, torch.Tensor], *options: Any
        ) -> Any:
            return serialise(graph, self._lift(weights), *options)

        def keep(data: bytes, *_: Any) -> None:
            self.data = data

        with ExitStack() as stack:
            stack.enter_context(mock.patch.object(torch._C, assign_names.__name__, assigned))
            stack.enter_context(
                mock.patch.object(torch._C.Graph, serialise.__name__, without_weights)
            )
            stack.enter_context(mock.patch.object(onnx_proto_utils, "_export_file", keep))
            yield

    def _lift(self, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Keep the large weights; gives empty ones of their type in their place."""
        given = dict(weights)
        for name, tensor in weights.items():
            if tensor.numel() * tensor.element_size() < MIN_WEIGHT_BYTES:
                continue
            if (stored := _bytes(tensor)) is not None:
                self.weights[name] = (tuple(tensor.shape), stored)
                given[name] = torch.empty(0, dtype=tensor.dtype)
        return given

    def _read(self, block: Any) -> None:
        for node in block.nodes():
            for output in node.outputs():
                self.nodes[output.debugName()] = (node.scopeName(), node.sourceRange())
            for inner in node.blocks():
                self._read(inner)


@contextmanager
def _marked_scopes(model: nn.Module) -> Iterator[None]:
    """While tracing, let each scope name say which module it is, and which call of it."""
    numbers = {module: index for index, (_, module) in enumerate(model.named_modules())}
    calls: Counter[nn.Module] = Counter()

    def mark(module: nn.Module, _: Any) -> None:
        names = torch.jit._trace._trace_module_map
        if names is None or torch._C._get_tracing_state() is None:
            return
        shown = names[module].rpartition("::")[2]
        names[module] = f"modelexport{numbers[module]}_{calls[module]}::{shown}"
        calls[module] += 1

    with ExitStack() as stack:
        for module in numbers:
            if not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_pre_hook(mark).remove)
        yield


def _innermost(scope: str, paths: list[str]) -> Scope | None:
    """The last module that a scope name says."""
    found = None
    for match in _MARK.finditer(scope):
        found = match
    return None if found is None else Scope(paths[int(found["module"])], int(found["call"]))


def _dynamic_axes(call: Call) -> dict[str, dict[int, str]]:
    return {
        name: {axis: asked or f"{name}_{axis}" for axis, asked in axes.items()}
        for name, axes in call.axes.items()
    }


def _bytes(tensor: torch.Tensor) -> Array | None:
    """What a tensor is to be stored as; None for types that torch has to encode itself."""
    if tensor.is_quantized or tensor.layout is not torch.strided:
        return None
    dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return dense.reshape(-1).view(torch.uint8).numpy()
