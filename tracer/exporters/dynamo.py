"""The dynamo exporter (`torch.export`), for transformers' models through their own front end.

What leans on the inside of torch's exporter stands in this file. Scopes come from the
metadata that torch writes on every node: `name_scopes` ends with the name of the fx node, and
that node's `nn_module_stack` has the module path and, behind an `@`, which call it was.
"""

import ast
import gc
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import onnx
import onnx_ir
import torch
from torch import nn

from modelexport.errors import ExportFailedError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import walk_graphs, walk_nodes
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import NOWHERE, Exported, Scope, contiguous
from modelexport.tracer.exporters.naming import automatic_axes, name_axes, name_outputs
from modelexport.tracer.exporters.source_lines import innermost_line
from modelexport.tracer.exporters.transformers_exporter import transformers_exporter
from modelexport.tracer.sources.signature import Call, flat_forward

MIN_OPSET = 18
"""The lowest opset that it writes. Torch converts to lower ones, and loses metadata by that."""

_MODULE_AND_OP = 2
_STACK_TRACE = "pkg.torch.onnx.stack_trace"


def export(model: nn.Module, call: Call, *, opset: int) -> Exported:
    """Export a model, the scopes beside it.

    Raises:
        ExportFailedError: torch could not export it; the message is torch's first line.
    """
    notes = []
    if opset < MIN_OPSET:
        notes.append(f"opset {MIN_OPSET} instead of {opset}: the dynamo exporter has none below it")
        opset = MIN_OPSET
    with _quiet(), _collecting_rarely(), torch.no_grad():
        try:
            program = _program(model, call, opset)
        except Exception as error:
            raise ExportFailedError(first_line(_root_cause(error), with_type=True)) from error
    name_axes(program, call)
    name_outputs(program.model, call)
    weights = _lift_weights(program.model)
    graph = onnx_ir.to_proto(program.model)
    calls = _calls(program.exported_program, model)
    scopes, sources = {}, {}
    paths = {path for path, _ in model.named_modules(remove_duplicate=False)}
    for key, node in walk_nodes(graph):
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        if (scope := _scope(metadata, calls, paths)) is not None:
            scopes[key] = scope
        if (line := innermost_line(metadata.get(_STACK_TRACE, ""))) is not None:
            sources[key] = line
    _make_plain(graph)
    return Exported(Exporter.DYNAMO, graph, weights, scopes, sources, opset, tuple(notes))


def _program(model: nn.Module, call: Call, opset: int) -> Any:
    """The ONNXProgram, by transformers' exporter where it serves the model, else by torch's."""
    by_transformers = transformers_exporter(model)
    if by_transformers is not None:
        return by_transformers(call, opset)
    with flat_forward(model, call):
        return torch.onnx.export(
            model,
            tuple(call.tensors.values()),
            dynamo=True,
            opset_version=opset,
            input_names=list(call.tensors),
            output_names=call.outputs,
            dynamic_shapes=tuple(automatic_axes(call)) if call.axes else None,
            verbose=False,
        )


def _lift_weights(model: onnx_ir.Model) -> dict[str, Array]:
    """The large initializers, which leave references behind: they never pass protobuf."""
    weights = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < MIN_WEIGHT_BYTES:
            continue
        array = tensor.numpy()
        if array.nbytes != tensor.nbytes or array.dtype.hasobject:
            continue  # packed types and strings stay where they are
        weights[name] = contiguous(array)
        value.const_value = onnx_ir.ExternalTensor(
            NOWHERE, 0, tensor.nbytes, tensor.dtype, shape=onnx_ir.Shape(array.shape), name=name
        )
    return weights


def _calls(exported: torch.export.ExportedProgram, model: nn.Module) -> dict[str, Scope]:
    """Module path and call of each fx node, from the stack that torch.export keeps.

    torch counts the calls of a shared module anew under each of its paths; here they are
    counted together, in the order in which they run.
    """
    said: dict[str, Scope] = {}
    for module in exported.graph_module.modules():
        for node in getattr(module, "graph", exported.graph).nodes:
            stack = node.meta.get("nn_module_stack")
            if stack:
                key, (path, _) = next(reversed(stack.items()))
                said[node.name] = Scope(path, int(key.rpartition("@")[2]) if "@" in key else 0)
    first: dict[nn.Module, str] = {}
    pairs = model.named_modules(remove_duplicate=False)
    shared = {path: first.setdefault(module, path) for path, module in pairs}
    runs: dict[str, dict[Scope, int]] = {}
    for scope in said.values():
        one = runs.setdefault(shared.get(_plain_path(scope.module), scope.module), {})
        one.setdefault(scope, len(one))
    together: dict[Scope, int] = {}
    for one in runs.values():
        if len({scope.module for scope in one}) > 1:
            together |= one
    return {
        name: Scope(scope.module, together.get(scope, scope.call)) for name, scope in said.items()
    }


def _scope(metadata: dict[str, str], calls: dict[str, Scope], paths: set[str]) -> Scope | None:
    """The scope of one node: by its fx node, else the last module in its name scopes."""
    text = metadata.get(keys.TORCH_NAME_SCOPES)
    if text is None:
        return None
    names = ast.literal_eval(text)
    if len(names) < _MODULE_AND_OP:
        return None  # inside a branch or a loop, where torch forgets the modules
    found = calls.get(names[-1])
    if found is not None and _plain_path(found.module) in paths:
        return Scope(_plain_path(found.module), found.call)
    modules = [_plain_path(name) for name in names[:-1]]
    return Scope(modules[-1]) if modules[-1] in paths else None


def _plain_path(path: str) -> str:
    """A module path without the call counter that torch.export may leave in it."""
    return path.partition("@")[0]


def _make_plain(model: onnx.ModelProto) -> None:
    """Take out what the exporter left about the model's origin: it belongs to the record."""
    del model.metadata_props[:]
    model.ClearField("doc_string")
    for place in walk_graphs(model):
        graph = place.graph
        del graph.metadata_props[:]
        graph.ClearField("doc_string")
        values = [*graph.value_info]
        if isinstance(graph, onnx.GraphProto):
            values += [*graph.input, *graph.output]
            for tensor in graph.initializer:
                del tensor.metadata_props[:]
                tensor.ClearField("doc_string")
        for item in (*graph.node, *values):
            del item.metadata_props[:]
            item.ClearField("doc_string")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress lines, warnings and log lines away from the user."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, disabled)
        yield


@contextmanager
def _collecting_rarely() -> Iterator[None]:
    """Let Python look for cyclic garbage less often.

    torch.export makes very many small objects; looking through them again and again takes up to
    a tenth of its time.
    """
    before = gc.get_threshold()
    if gc.isenabled() and before[0]:
        gc.set_threshold(max(before[0], 50_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _root_cause(error: BaseException) -> BaseException:
    """The innermost cause of an error: torch wraps it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
