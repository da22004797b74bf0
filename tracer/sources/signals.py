"""Images and sounds among the inputs of a model that reads them beside text.

Such a model also runs on text alone, so its inputs may lack them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.tracer.sources.generated.conventions import token_names
from modelexport.tracer.sources.generated.documented import documented_parameters
from modelexport.tracer.sources.generated.extents import model_extents
from modelexport.tracer.sources.generated.trials import runnable_inputs
from modelexport.tracer.sources.generated.values import make_value
from modelexport.tracer.sources.generated_inputs import modalities
from modelexport.tracer.sources.model_state import evaluation_mode

_TEXT = "text"


def with_signal(model: nn.Module, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs with an image or a sound, where the model reads one beside text and has none yet.

    Args:
        model: A model of transformers.
        inputs: Inputs that it runs on, by name.

    Returns:
        The inputs with the first signal that makes modules run which did not run without it; the
        same inputs where there is none.
    """
    kinds = modalities(model)
    has_signal = any(torch.is_tensor(v) and v.is_floating_point() for v in inputs.values())
    if has_signal or _TEXT not in kinds or len(kinds) == 1:
        return dict(inputs)
    parameters = documented_parameters(model)
    extents = model_extents(model, parameters)
    rows = len(next(v for v in inputs.values() if torch.is_tensor(v)))
    running = _running_modules(model, inputs)
    for parameter in parameters.values():
        if parameter.name in inputs or not parameter.is_example:
            continue
        value = make_value(replace(parameter, required=True), replace(extents, batch=rows))
        if value is None or not value.is_floating_point():
            continue
        try:
            extended = runnable_inputs(model, {**inputs, parameter.name: value})
        except InputsError:
            continue
        if parameter.name in extended and _running_modules(model, extended) - running:
            return _with_padding(_needed(model, extended, {*inputs, parameter.name}))
    return dict(inputs)


def _needed(model: nn.Module, inputs: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    """Inputs without those that the model does not need: they were added on the way, by trial.

    Args:
        model: The model.
        inputs: Inputs that it runs on.
        kept: The names of those that stay.
    """
    running = _running_modules(model, inputs)
    needed = dict(inputs)
    for name in [name for name in inputs if name not in kept]:
        fewer = {other: value for other, value in needed.items() if other != name}
        try:
            still_running = _running_modules(model, fewer)
        except Exception:  # noqa: BLE001, S112 - it needs this input, and says so in its own way
            continue
        if still_running == running:
            needed = fewer
    return needed


def _with_padding(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs whose mask hides a token: generation leaves out a mask that hides nothing."""
    _, name = token_names()
    mask = inputs.get(name)
    if not isinstance(mask, torch.Tensor) or not mask.all():
        return dict(inputs)
    padded = mask.clone()
    padded[-1, 0] = 0
    return {**inputs, name: padded}


def _running_modules(model: nn.Module, inputs: Mapping[str, Any]) -> set[nn.Module]:
    """The modules that are called while a model runs."""
    running: set[nn.Module] = set()
    hooks = [
        module.register_forward_pre_hook(lambda module, _: running.add(module))
        for module in model.modules()
    ]
    try:
        with evaluation_mode(model), torch.no_grad():
            model(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return running
