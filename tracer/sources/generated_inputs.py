"""Inputs generated for a model of transformers, from what the model says about itself.

A model names its main input and its modalities, and its configuration gives the extents.
"""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import nn

from modelexport.tracer.sources.generated.conventions import MAIN_INPUTS, token_names
from modelexport.tracer.sources.generated.documented import (
    Parameter,
    common_parameter,
    documented_parameters,
)
from modelexport.tracer.sources.generated.extents import BATCH, LENGTH, Extents, model_extents
from modelexport.tracer.sources.generated.values import distinct_tokens, make_value

_SEED = 20


def modalities(model: nn.Module) -> tuple[str, ...]:
    """What a model reads: `text`, `image`, `audio` …; empty when it does not say."""
    names = getattr(model, "input_modalities", ())
    return (names,) if isinstance(names, str) else tuple(names)


def generate_inputs(model: nn.Module, accepted: Collection[str]) -> dict[str, torch.Tensor]:
    """Inputs for a model of transformers; none when it does not name its main input.

    Args:
        model: The model.
        accepted: The parameters of its forward.
    """
    main = getattr(model, "main_input_name", None)
    mains = (main,) if isinstance(main, str) else tuple(main or ())
    if not set(mains) & set(accepted):
        return {}
    ids, mask = token_names()
    generator = torch.Generator().manual_seed(_SEED)
    parameters = documented_parameters(model)
    extents = model_extents(model, parameters)
    inputs = {}
    for name in (*mains, *((ids,) if "text" in modalities(model) else ())):
        if name not in accepted:
            continue
        if name == ids:
            inputs[name] = distinct_tokens((BATCH, LENGTH), model.config, generator)
            if mask in accepted:
                inputs[mask] = _attention_mask(inputs[name])
        elif (signal := _signal(parameters[name], extents, modalities(model))) is not None:
            inputs[name] = signal
    if getattr(model.config, "is_encoder_decoder", False):
        for name in (ids, mask):
            if (decoder_name := f"decoder_{name}") in accepted:
                tokens = distinct_tokens((BATCH, LENGTH), model.config, generator)
                inputs[decoder_name] = tokens if name == ids else torch.ones_like(tokens)
    return inputs


def _attention_mask(tokens: torch.Tensor) -> torch.Tensor:
    """A mask that hides the end of the last row."""
    mask = torch.ones_like(tokens)
    mask[-1, -LENGTH // 4 :] = 0
    return mask


def _signal(parameter: Parameter, extents: Extents, kinds: Collection[str]) -> torch.Tensor | None:
    """The main input as it is documented, else as the library documents that of the modality."""
    needed = replace(parameter, required=True)
    if (value := make_value(needed, extents)) is not None:
        return value
    names = (MAIN_INPUTS[kind] for kind in kinds if kind in MAIN_INPUTS)
    usual = (common_parameter(name) for name in names)
    values = (make_value(replace(p, required=True), extents) for p in usual)
    return next((value for value in values if value is not None), None)
