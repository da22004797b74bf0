"""The dynamo exporter (`torch.export`); models of transformers go through transformers' own.

What depends on the inside of torch's exporter is in this file and in `dynamo_scopes`.
"""

import gc
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from typing import Any

import onnx
import onnx_ir
import torch
from torch import nn

from modelexport.errors import ExportFailedError
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.hierarchy.graph_paths import NodeKey, walk_graphs, walk_nodes
from modelexport.hierarchy.opsets import default_opset
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.axes_and_outputs import automatic_axes, name_axes, name_outputs
from modelexport.tracer.exporters.dynamo_scopes import DynamoScopes
from modelexport.tracer.exporters.exported import (
    IN_MEMORY,
    ExportedGraph,
    ExportSettings,
    Scope,
    contiguous,
)
from modelexport.tracer.exporters.opset_ranges import DYNAMO_MIN_OPSET
from modelexport.tracer.exporters.registry_shortcut import translations_collected_once
from modelexport.tracer.exporters.rewrite_shortcut import nodes_checked_first
from modelexport.tracer.exporters.source_lines import innermost_line
from modelexport.tracer.exporters.transformers_exporter import transformers_exporter
from modelexport.tracer.exporters.valueless import lift_valueless, optimised_without_values
from modelexport.tracer.sources.signature import ModelCall, flat_forward

_STACK_TRACE = "pkg.torch.onnx.stack_trace"
_MIN_GC_THRESHOLD = 50_000
"""Minimum number of new objects after which Python looks for garbage, during the export."""


def export(model: nn.Module, call: ModelCall, settings: ExportSettings) -> ExportedGraph:
    """Export a model, with the scope of each node.

    Raises:
        ExportFailedError: torch could not export it; the message is torch's first line.
    """
    settings = replace(settings, opset=max(settings.opset, DYNAMO_MIN_OPSET))
    printed = io.StringIO()
    with (
        _silenced(printed),
        _garbage_collected_rarely(),
        nodes_checked_first(),
        translations_collected_once(),
        optimised_without_values(),
        torch.no_grad(),
    ):
        try:
            program = _export_program(model, call, settings)
        except Exception as error:
            error.add_note(printed.getvalue())  # tracebacks show it, and nothing else does
            reason = first_line(_root_cause(error), with_type=True)
            raise ExportFailedError(reason) from error
    name_axes(program, call)
    name_outputs(program.model, call)
    valueless = lift_valueless(program.model)
    weights = _lift_weights(program.model)
    exported = onnx_ir.to_proto(program.model)
    scopes, source_lines = _read_metadata(exported, DynamoScopes(program.exported_program, model))
    _remove_metadata(exported)
    return ExportedGraph(
        *(Exporter.DYNAMO, exported, weights, scopes, source_lines, default_opset(exported)),
        valueless=valueless,
    )


def _export_program(model: nn.Module, call: ModelCall, settings: ExportSettings) -> Any:
    """Torch's ONNXProgram of a model."""
    by_transformers = transformers_exporter(model)
    if by_transformers is not None:
        return by_transformers(call, settings)
    with flat_forward(model, call):
        return torch.onnx.export(
            model,
            tuple(call.tensors.values()),
            dynamo=True,
            opset_version=settings.opset,
            custom_translation_table=dict(settings.translations) or None,
            input_names=list(call.tensors),
            output_names=list(call.output_names),
            dynamic_shapes=tuple(automatic_axes(call)) if call.axes else None,
            verbose=False,
        )


def _lift_weights(model: onnx_ir.Model) -> dict[str, Array]:
    """Take the values of large initializers out of a model, so that protobuf never copies them.

    Returns:
        The values by name.
    """
    weights = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < MIN_WEIGHT_BYTES:
            continue
        if isinstance(tensor, onnx_ir.ExternalTensor):
            continue  # its values are not known
        array = tensor.numpy()
        if array.nbytes != tensor.nbytes or array.dtype.hasobject:
            continue  # packed types and strings stay in the model
        weights[name] = contiguous(array)
        value.const_value = onnx_ir.ExternalTensor(
            IN_MEMORY, 0, tensor.nbytes, tensor.dtype, shape=onnx_ir.Shape(array.shape), name=name
        )
    return weights


def _read_metadata(
    model: onnx.ModelProto, dynamo_scopes: DynamoScopes
) -> tuple[dict[NodeKey, Scope], dict[NodeKey, str]]:
    """The scopes and source lines of the nodes that have them."""
    scopes, source_lines = {}, {}
    for key, node in walk_nodes(model):
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        if (scope := dynamo_scopes.scope(metadata)) is not None:
            scopes[key] = scope
        if (line := innermost_line(metadata.get(_STACK_TRACE, ""))) is not None:
            source_lines[key] = line
    return scopes, source_lines


def _remove_metadata(model: onnx.ModelProto) -> None:
    """Remove what the exporter wrote about the model's origin: it belongs into the record."""
    del model.metadata_props[:]
    model.ClearField("doc_string")
    for _, graph, _ in walk_graphs(model):
        items: list[Any] = [graph, *graph.node, *graph.value_info]
        if isinstance(graph, onnx.GraphProto):
            items += [*graph.input, *graph.output, *graph.initializer]
        for item in items:
            del item.metadata_props[:]
            item.ClearField("doc_string")


@contextmanager
def _silenced(printed: io.StringIO) -> Iterator[None]:
    """Hide the progress lines, warnings and log lines of the exporters from the user.

    Args:
        printed: Gets what they print.
    """
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(redirect_stdout(printed))
        stack.enter_context(redirect_stderr(printed))
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, disabled)
        yield


@contextmanager
def _garbage_collected_rarely() -> Iterator[None]:
    """Let Python look for cyclic garbage less often.

    torch.export creates very many small objects. Looking through them again and again takes up to
    a tenth of its time.
    """
    original = gc.get_threshold()
    if gc.isenabled() and original[0]:
        gc.set_threshold(max(original[0], _MIN_GC_THRESHOLD), *original[1:])
    try:
        yield
    finally:
        gc.set_threshold(*original)


def _root_cause(error: BaseException) -> BaseException:
    """The innermost cause of an error: torch wraps it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
