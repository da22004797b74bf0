"""The names of settings that transformers documents as common to its configurations.

They are the library's own API: `PretrainedConfig` states `vocab_size` and `is_encoder_decoder`, and
the classes that prepare inputs (processors of images, videos, sounds and time series) are made from
the others. No setting of a single model is here. What a model's modules show, such as the channels
that its first convolution reads, is asked of the modules, and what its errors show, of the errors.
"""

from typing import Any

from torch import nn

VOCABULARY = "vocab_size"
IMAGE_SIDE = ("image_size", "img_size")
MERGED_SIDE = "spatial_merge_size"
CLIP_FRAMES = ("frames_per_clip", "num_frames")
SPECTRUM_BINS, SPECTRUM_FRAMES = "num_mel_bins", "max_source_positions"
PAST_STEPS, FUTURE_STEPS, LAGS = "context_length", "prediction_length", "lags_sequence"
"""Tokens; pixels; patches; frames of a video, of a spectrogram; steps of a time series."""
IMAGE_GRID = "grid_thw"
"""Input: how many frames, rows and columns of patches an image has."""


def placeholder_settings(kind: str) -> tuple[str, ...]:
    """The settings that hold the token which stands for an image, a video or a sound."""
    return (f"{kind}_token_id", f"{kind}_token_index", f"{kind}_token")


def find_setting(config: Any, name: str) -> Any:
    """A setting of a configuration, or of the first of its parts that has it; else None."""
    if (value := getattr(config, name, None)) is not None:
        return value
    for part_name in getattr(config, "sub_configs", None) or {}:
        part = getattr(config, part_name, None)
        if part is not None and (value := find_setting(part, name)) is not None:
            return value
    return None


def vocabulary_size(config: Any) -> int | None:
    """The number of tokens that a model reads; None where its configuration does not say it."""
    try:
        size = getattr(config.get_text_config(), VOCABULARY)
    except (AttributeError, ValueError):  # no part reads text, or several do
        size = find_setting(config, VOCABULARY)
    return size if isinstance(size, int) else None


def channels_read(model: nn.Module, *kinds: type[nn.Module]) -> int | None:
    """The channels that the first convolution of some kinds reads; None without one.

    Args:
        model: The model.
        kinds: Classes of convolutions, those of images or those of sounds.
    """
    convolutions = (module for module in model.modules() if isinstance(module, kinds))
    return getattr(next(convolutions, None), "in_channels", None)
