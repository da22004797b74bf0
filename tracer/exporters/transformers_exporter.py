"""The ONNX exporter that transformers brings for its own models."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.tracer.exporters.axes_and_outputs import automatic_axes
from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.sources.replaced_forward import replaced_forward
from modelexport.tracer.sources.signature import Arguments, ModelCall
from modelexport.tracer.sources.transformers_models import is_transformers_model

TransformersExport = Callable[[ModelCall, ExportSettings], Any]
"""Takes the call to export and the settings; returns torch's `ONNXProgram`."""


def transformers_exporter(model: nn.Module) -> TransformersExport | None:
    """The exporter of transformers for a model; None where there is none."""
    if not is_transformers_model(model):
        return None
    try:
        from transformers.exporters import exporter_dynamo, exporter_onnx, utils  # noqa: PLC0415
    except ImportError:
        return None

    def export(call: ModelCall, settings: ExportSettings) -> Any:
        inputs = _by_name(model, call.arguments())
        has_names = any(name is not None for axes in call.axes.values() for name in axes.values())
        exporter_dynamo.register_cache_pytrees_for_model(model)
        config = exporter_onnx.OnnxConfig(
            dynamic=bool(call.axes),
            dynamic_shapes=_dynamic_shapes(inputs, call, utils._OUTPUT_FLAGS)
            if has_names
            else None,
            opset_version=settings.opset,
        )
        with _kept_programs(settings) as programs, _named_outputs(model, call):
            exporter = exporter_onnx.OnnxExporter()
            # in earlier releases of transformers (5.17), `export` does it
            getattr(exporter, "export_program", exporter.export)(model, inputs, config)
        _name_inputs(programs[-1].model.graph.inputs, _by_name(model, call.arguments()), call)
        return programs[-1]

    return export


def _by_name(model: nn.Module, arguments: Arguments) -> dict[str, Any]:
    """Arguments of a model's forward by the names of its parameters."""
    args, kwargs = arguments
    return dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)


@contextmanager
def _kept_programs(settings: ExportSettings) -> Iterator[list[Any]]:
    """Let torch's exporter use the translations of the settings while the body runs.

    Yields:
        The `ONNXProgram` of each export so far.
    """
    programs: list[Any] = []
    torch_export = torch.onnx.export

    def keep_program(*args: Any, **kwargs: Any) -> Any:
        translations = kwargs.pop("custom_translation_table", None) or {}
        table = {**translations, **settings.translations}
        options = {**kwargs, "custom_translation_table": table, "verbose": False}
        programs.append(torch_export(*args, **options))
        return programs[-1]

    with mock.patch.object(torch.onnx, "export", keep_program):
        yield programs


def _dynamic_shapes(inputs: Mapping[str, Any], call: ModelCall, flags: Collection[str]) -> Any:
    """The dynamic axes of the inputs, in containers as torch.export compares them.

    Args:
        inputs: The inputs around the tensors of the call.
        call: Knows the dynamic axes of each tensor.
        flags: Inputs that transformers takes out before the export: `use_cache` for example.
    """
    tensors = map(id, call.tensors.values())
    axes = dict(zip(tensors, automatic_axes(call), strict=True))

    def shapes(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return axes.get(id(value))
        if type(value) in {list, tuple}:
            return type(value)(map(shapes, value))
        if type(value) is dict:
            return {key: shapes(item) for key, item in value.items()}
        node = pytree.SUPPORTED_NODES.get(type(value))
        return None if node is None else [shapes(child) for child in node.flatten_fn(value)[0]]

    return {name: shapes(value) for name, value in inputs.items() if name not in flags}


@contextmanager
def _named_outputs(model: nn.Module, call: ModelCall) -> Iterator[None]:
    """Let a model return its tensors by the names of the outputs while the body runs."""
    original = model.forward

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        return call.named_outputs(original(*args, **kwargs))

    with replaced_forward(model, forward):
        yield


def _name_inputs(inputs: Sequence[Any], arguments: Mapping[str, Any], call: ModelCall) -> None:
    """Give the inputs of a graph the names that they have in the call.

    transformers renames an input whose name an output has, too.

    Args:
        inputs: The inputs of the graph, in the order of the tensors in the arguments.
        arguments: The arguments around the tensors of the call.
        call: Knows the names of these tensors.
    """
    names = {id(tensor): name for name, tensor in call.tensors.items()}
    tensors = [t for t in pytree.tree_leaves(dict(arguments)) if isinstance(t, torch.Tensor)]
    if len(tensors) == len(inputs) and all(id(tensor) in names for tensor in tensors):
        for value, tensor in zip(inputs, tensors, strict=True):
            value.name = names[id(tensor)]
