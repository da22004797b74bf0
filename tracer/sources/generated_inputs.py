"""Inputs generated for a model of transformers, from what the model says about itself.

A model names its main input and its modalities, and its configuration gives the extents.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn

from modelexport.tracer.sources.generated.conventions import (
    CLIP_FRAMES,
    IMAGE_SIDE,
    SPECTRUM_BINS,
    SPECTRUM_FRAMES,
    channels_read,
    find_setting,
    vocabulary_size,
)
from modelexport.tracer.sources.generated.extents import SAMPLES, VIDEO_FRAMES

_BATCH = 2
_LENGTH = 12
"""Rows, and tokens in a row."""

_RESERVED_TOKENS = 8
"""The first tokens of a vocabulary, which tokenizers often reserve."""

_SMALL_VOCABULARY = 64
"""Tokens that a model surely has whose configuration does not say how many there are."""

_DEFAULT_IMAGE_SIZE = (64, 64)
_DEFAULT_CHANNELS = 3
_DEFAULT_FRAMES = 128
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
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    main = getattr(model, "main_input_name", None)
    mains = (main,) if isinstance(main, str) else tuple(main or ())
    if not set(mains) & set(accepted):
        return {}
    ids, *_, mask = PreTrainedTokenizerBase.model_input_names
    generator = torch.Generator().manual_seed(_SEED)
    inputs = {}
    for name in (*mains, *((ids,) if "text" in modalities(model) else ())):
        if name not in accepted:
            continue
        if name == ids:
            inputs[name] = _tokens(model.config, generator)
            if mask in accepted:
                inputs[mask] = _attention_mask(inputs[name])
        else:
            inputs[name] = _signal(model, generator)
    if getattr(model.config, "is_encoder_decoder", False):
        for name in (ids, mask):
            if (decoder_name := f"decoder_{name}") in accepted:
                tokens = _tokens(model.config, generator)
                inputs[decoder_name] = tokens if name == ids else torch.ones_like(tokens)
    return inputs


def _tokens(config: Any, generator: torch.Generator) -> torch.Tensor:
    """Distinct tokens, without the reserved ones at the beginning of the vocabulary."""
    size = vocabulary_size(config)
    size = size if isinstance(size, int) else _SMALL_VOCABULARY
    start = min(_RESERVED_TOKENS, size - 1)
    picks = torch.randperm(size - start, generator=generator)[: _BATCH * _LENGTH] + start
    return picks[torch.arange(_BATCH * _LENGTH) % len(picks)].reshape(_BATCH, _LENGTH)


def _attention_mask(tokens: torch.Tensor) -> torch.Tensor:
    """A mask that hides the end of the last row."""
    mask = torch.ones_like(tokens)
    mask[-1, -_LENGTH // 4 :] = 0
    return mask


def _signal(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
    """An image, a spectrogram or a waveform, with the extents in the configuration."""
    config = model.config
    size = find_setting(config, IMAGE_SIDE[0])
    if {"image", "video"} & set(modalities(model)) or size is not None:
        square = (size, size) if isinstance(size, int) else size
        height, width = tuple(square or _DEFAULT_IMAGE_SIZE)[:2]
        channels = channels_read(model, nn.Conv2d, nn.Conv3d) or _DEFAULT_CHANNELS
        shape = (_BATCH, *_frames(model), channels, height, width)
        return torch.randn(shape, generator=generator)
    bins = find_setting(config, SPECTRUM_BINS)
    if bins is not None:
        frames = 2 * int(find_setting(config, SPECTRUM_FRAMES) or _DEFAULT_FRAMES)
        return torch.randn(_BATCH, int(bins), frames, generator=generator)
    return torch.randn(_BATCH, SAMPLES, generator=generator)


def _frames(model: nn.Module) -> tuple[int, ...]:
    """The number of frames of a model that reads videos alone; nothing for any other."""
    if "video" not in modalities(model) or "image" in modalities(model):
        return ()
    settings = [find_setting(model.config, name) for name in reversed(CLIP_FRAMES)]
    return (next((n for n in settings if isinstance(n, int)), VIDEO_FRAMES),)
