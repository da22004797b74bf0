"""The ONNX exporter that transformers brings for its own models."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.tracer.exporters.axes_and_outputs import automatic_axes
from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.sources.signature import Arguments, ModelCall
from modelexport.tracer.sources.transformers_models import is_transformers_model

TransformersExport = Callable[[ModelCall, ExportSettings], Any]
"""Takes the call to export and the settings; returns torch's `ONNXProgram`."""


def transformers_exporter(model: nn.Module) -> TransformersExport | None:
    """The exporter of transformers for a model; None where there is none."""
    if not is_transformers_model(model):
        return None
    try:
        from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter  # noqa: PLC0415
    except ImportError:
        return None

    def by_name(arguments: Arguments) -> dict[str, Any]:
        args, kwargs = arguments
        return dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)

    def export(call: ModelCall, settings: ExportSettings) -> Any:
        inputs = by_name(call.arguments())
        programs: list[Any] = []
        torch_export = torch.onnx.export

        def keep_program(*args: Any, **kwargs: Any) -> Any:
            table = {
                **(kwargs.pop("custom_translation_table", None) or {}),
                **settings.translations,
            }
            options = {**kwargs, "custom_translation_table": table, "verbose": False}
            programs.append(torch_export(*args, **options))
            return programs[-1]

        has_names = any(name is not None for axes in call.axes.values() for name in axes.values())
        config = OnnxConfig(
            dynamic=bool(call.axes),
            dynamic_shapes=by_name(call.arguments(automatic_axes(call))) if has_names else None,
            opset_version=settings.opset,
        )
        with mock.patch.object(torch.onnx, "export", keep_program):
            OnnxExporter().export_program(model, inputs, config)
        _name_inputs(programs[-1].model.graph.inputs, by_name(call.arguments()), call)
        return programs[-1]

    return export


def _name_inputs(inputs: Sequence[Any], arguments: Mapping[str, Any], call: ModelCall) -> None:
    """Give the inputs of a graph the names that they have in the call.

    transformers gives an input another name where an output has the same one.

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
