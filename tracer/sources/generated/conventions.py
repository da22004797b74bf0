"""The words of transformers' own API: names of inputs, of axes and of settings.

Inputs are made by what a model documents. Where it documents nothing, the names below stand for
what the library documents for all of its models. No word here belongs to a single model; a test
holds that each of them stands in one of these places:

- *Inputs*: the list that the documentation of all models shares, with their shapes (`ModelArgs` of
  `transformers.utils.auto_docstring`). They are what `model_input_names` of tokenizers, image
  processors, video processors and feature extractors name.
- *Axes*: the words in the shapes of this list, and in the names of settings.
- *Settings*: the list that the documentation of all configurations shares (`ConfigArgs` there).
- *Modalities*: `input_modalities` of `PreTrainedModel`.

Everything else is asked of the model: documented shapes, annotations, settings by the names that
documented shapes give them, the channels of its convolutions, its own errors.
"""

import importlib
import re
from functools import cache
from typing import Any

from torch import nn

VOCABULARY = "vocab_size"
IMAGE_SIDE = "image_size"
MERGED_SIDE = "spatial_merge_size"
CLIP_FRAMES = "num_frames"
SPECTRUM_BINS = "num_mel_bins"
"""Settings: tokens; pixels; patches that become one; frames of a video; bins of a spectrum."""

IMAGES, VIDEOS, WAVEFORM, SPECTRUM = (
    "pixel_values", "pixel_values_videos", "input_values", "input_features",
)  # fmt: skip
TOKENS, POSITIONS = "input_ids", "position_ids"
MASK_WORD = "mask"
IMAGE_GRID = "grid_thw"
"""Inputs, and a word in the names of masks; the last one says how many frames, rows and columns of
patches an image has."""

MAIN_INPUTS = {"image": IMAGES, "video": VIDEOS, "audio": WAVEFORM, "text": TOKENS}
"""What a model of a modality reads, where it does not document its main input."""

COMPUTED = re.compile(
    r"labels|past_key|embeds$|_outputs$|output_|return_|cache|hidden_states$"
)  # fmt: skip
"""Inputs that nobody gives for a first run: answers, caches, switches, what models computed."""

BATCH_WORD, CHANNELS_WORD, FRAMES_WORD = "batch", "channels", "frames"
MEDIA_WORDS = frozenset({"images", "videos"})
SIDE_WORDS = frozenset({"image", "frame", "size", "height", "width"})
PATCH_WORDS = frozenset({"patches"}), frozenset({"image", "tokens"})
BIN_WORDS = (
    frozenset({"mel", "bins"}),
    frozenset({"feature", "dim"}),
    frozenset({"feature", "size"}),
)
LENGTH_WORDS = frozenset({"sequence", "length"})
"""Words in the names of axes."""

PLACEHOLDER_ENDS = ("_token_id", "_token_index")
"""How the settings end that hold the token which stands for an image, a video or a sound."""

_SHORTEST_WORD = 3
"""Minimum number of letters of an abbreviation: `seq`."""


@cache
def common_documentation(kind: str) -> dict[str, dict[str, Any]]:
    """What the documentation of all models shares, by name: description and shape as text.

    Args:
        kind: The class that holds it: `ModelArgs` for inputs, `ConfigArgs` for settings.

    Returns:
        The entries; none for versions of transformers that have no such list.
    """
    try:
        module = importlib.import_module("transformers.utils.auto_docstring")
    except ModuleNotFoundError:
        return {}
    entries = vars(getattr(module, kind, object))
    return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}


def common_input(name: str) -> dict[str, Any] | None:
    """What the library documents about an input of a name, or of the longest end of it.

    `decoder_input_values` is of the kind of `input_values`, `grid_thw` of that of `image_grid_thw`.
    """
    entries = common_documentation("ModelArgs")
    if name in entries:
        return entries[name]
    ends = [entry for entry in entries if name.endswith(f"_{entry}")]
    ends = ends or [entry for entry in entries if entry.endswith(f"_{name}")]
    return entries[max(ends, key=len)] if ends else None


def axis_words(axis: str) -> frozenset[str]:
    """The words in the name of an axis; abbreviations stand for the words that begin like them.

    >>> sorted(axis_words("max_seq_len"))
    ['length', 'max', 'sequence']
    """
    words = (*sorted(LENGTH_WORDS | SIDE_WORDS), *sorted(MEDIA_WORDS), CHANNELS_WORD, FRAMES_WORD)
    return frozenset(
        next(
            (w for w in words if len(word) >= _SHORTEST_WORD and w.startswith(word)),
            word,
        )
        for word in re.findall(r"[a-z]+", axis)
    )


def token_names() -> tuple[str, str]:
    """The names that transformers' tokenizers give to tokens and to their mask."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    ids, *_, mask = PreTrainedTokenizerBase.model_input_names
    return ids, mask


def placeholder(config: Any, kind: str) -> Any:
    """The token that stands for an image, a video or a sound; None where no setting holds it.

    Args:
        config: The configuration.
        kind: The modality.
    """
    tokens = (find_setting(config, f"{kind}{end}") for end in PLACEHOLDER_ENDS)
    return next((token for token in tokens if token is not None), None)


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
