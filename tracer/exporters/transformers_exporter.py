"""The ONNX exporter that transformers brings for its own models."""

import inspect
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn

from modelexport.tracer.exporters.axes_and_outputs import automatic_axes
from modelexport.tracer.sources.signature import Arguments, ModelCall
from modelexport.tracer.sources.transformers_models import is_transformers_model

TransformersExport = Callable[[ModelCall, int], Any]
"""Takes the call to export and the opset; returns torch's `ONNXProgram`."""


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

    def export(call: ModelCall, opset: int) -> Any:
        inputs = by_name(call.arguments())
        programs: list[Any] = []
        torch_export = torch.onnx.export

        def keep_program(*args: Any, **kwargs: Any) -> Any:
            programs.append(torch_export(*args, verbose=False, **kwargs))
            return programs[-1]

        has_names = any(name is not None for axes in call.axes.values() for name in axes.values())
        config = OnnxConfig(
            dynamic=bool(call.axes),
            dynamic_shapes=by_name(call.arguments(automatic_axes(call))) if has_names else None,
            opset_version=opset,
        )
        with mock.patch.object(torch.onnx, "export", keep_program):
            OnnxExporter().export_program(model, inputs, config)
        return programs[-1]

    return export
