"""What transformers' models need beyond any other module; all of it found out at run time."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import nn

from modelexport.tracer.exporters.naming import free_axes
from modelexport.tracer.sources.signature import Call

Front = Callable[[Call, int], Any]


def is_transformers_model(model: nn.Module) -> bool:
    """Whether this is a model of transformers; never imports it."""
    modeling = sys.modules.get("transformers.modeling_utils")
    return modeling is not None and isinstance(model, modeling.PreTrainedModel)


@contextmanager
def ready_for_export(model: nn.Module) -> Iterator[None]:
    """No caches among the outputs, and no routing decisions baked into the graph."""
    with ExitStack() as stack:
        if is_transformers_model(model):
            seen = set()
            for module in model.modules():
                config = getattr(module, "config", None)
                if config is not None and id(config) not in seen:
                    seen.add(id(config))
                    if getattr(config, "use_cache", False):
                        stack.enter_context(_attribute(config, "use_cache", value=False))
            stack.enter_context(_batched_experts(model))
        yield


def onnx_exporter(model: nn.Module) -> Front | None:
    """Transformers' own ONNX exporter for this model, when there is one."""
    if not is_transformers_model(model):
        return None
    try:
        from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter  # noqa: PLC0415
    except ImportError:
        return None

    def named(arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> dict[str, Any]:
        args, kwargs = arguments
        return dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)

    def export(call: Call, opset: int) -> Any:
        inputs = named(call.arguments(*call.tensors.values()))
        programs: list[Any] = []
        torch_export = torch.onnx.export

        def listening(*positional: Any, **named: Any) -> Any:
            programs.append(torch_export(*positional, verbose=False, **named))
            return programs[-1]

        asked = any(name is not None for axes in call.axes.values() for name in axes.values())
        config = OnnxConfig(
            dynamic=bool(call.axes),
            dynamic_shapes=named(call.arranged(free_axes(call))) if asked else None,
            opset_version=opset,
        )
        with mock.patch.object(torch.onnx, "export", listening):
            OnnxExporter().export_program(model, inputs, config)
        return programs[-1]

    return export


@contextmanager
def _batched_experts(model: nn.Module) -> Iterator[None]:
    """Mixture-of-experts layers run every expert's work in one batch: nothing data-dependent."""
    if not getattr(model, "_can_set_experts_implementation", bool)():
        yield
        return
    before = model.get_experts_implementation()  # type: ignore[operator]
    model.set_experts_implementation("batched_mm")  # type: ignore[operator]
    try:
        yield
    finally:
        model.set_experts_implementation(before)  # type: ignore[operator]


@contextmanager
def _attribute(owner: object, name: str, *, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
