"""A tensor for a parameter, by its name, its type and its documented shape."""

import re
import zlib
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import torch

from modelexport.tracer.sources.generated.conventions import VOCABULARY, find_setting
from modelexport.tracer.sources.generated.documented import Parameter
from modelexport.tracer.sources.generated.extents import LENGTH, Extents

_RESERVED_TOKENS = 8
"""The first tokens of a vocabulary, which tokenizers often reserve."""


def likely_shape(parameter: Parameter, extents: Extents) -> tuple[int, ...] | None:
    """The shape that a parameter likely has; None where nothing says it."""
    for axes in (*parameter.axes, *_usual_axes(parameter.name)):
        numbers = [extents.of(axis, parameter.name) for axis in axes]
        if numbers and all(numbers):
            return tuple(int(number) for number in numbers if number)
    if parameter.required and parameter.axes:
        numbers = [extents.of(axis, parameter.name) for axis in parameter.axes[0]]
        return tuple(int(number or LENGTH) for number in numbers)
    return None


def shared_axes(
    parameter: Parameter, values: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> dict[str, int]:
    """The extents of axes that a parameter has in common with an input by their documented names.

    The input is the one with the most similar beginning of its name, else the first that has such
    an axis: a mask goes with what it masks.
    """
    names = sorted(values, key=lambda name: -_common_beginning(name, parameter.name))
    own_axes = {axis for axes in parameter.axes for axis in axes}
    for name in names:
        shape = tuple(getattr(values[name], "shape", ()))
        for axes in parameters[name].axes if name in parameters else ():
            if len(axes) == len(shape) and own_axes & set(axes[1:]):
                return {a: e for a, e in zip(axes, shape, strict=True) if not a.isdigit()}
    return {}


def _common_beginning(one: str, other: str) -> int:
    """The number of characters with which two names begin alike."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def make_value(parameter: Parameter, extents: Extents) -> torch.Tensor | None:
    """A tensor for a parameter; None where nothing says its shape."""
    name = parameter.name
    shape = likely_shape(parameter, extents)
    if re.search(r"grid|spatial_shapes|sizes$", name) and (not shape or len(shape) == 2):
        return _grid(shape, extents)
    if shape is None:
        return None
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    documented = (parameter.annotation + parameter.text[:120]).lower()
    if "mask" in name or "padding" in name or "booltensor" in documented:
        return _mask(parameter, shape)
    if re.search(r"position_ids$", name):
        return torch.arange(shape[-1]).expand(shape).contiguous()
    if re.search(r"(bbox|boxes)", name):
        corners = torch.arange(1, 1 + shape[-1])
        whole = not parameter.annotation or "Float" not in parameter.annotation
        return (corners if whole else corners / 10).expand(shape).contiguous()
    if re.search(r"input_ids$|_ids$|codes$", name) and not re.search(r"type|segment", name):
        return _tokens(shape, extents, generator)
    is_whole = re.search(r"Long|Int", parameter.annotation + parameter.text[:80].title())
    if is_whole or name.endswith("ids"):
        return torch.zeros(shape, dtype=torch.long)
    return torch.randn(shape, generator=generator)


def _usual_axes(name: str) -> tuple[tuple[str, ...], ...]:
    """The axes of a parameter that is not documented, by its name."""
    if re.search(r"ids$|mask$", name):
        return (("batch_size", "sequence_length"),)
    if re.search(r"pixel_values_videos|videos?$", name):
        return (("batch_size", "num_frames", "num_channels", "height", "width"),)
    if re.search(r"pixel|image", name):
        return (("batch_size", "num_channels", "height", "width"),)
    if re.search(r"features|mel", name):
        return (("batch_size", "sequence_length", "num_mel_bins"),)
    if re.search(r"input_values|audio", name):
        return (("batch_size", "sequence_length"),)
    if re.search(r"states|embeds|latents", name):
        return (("batch_size", "sequence_length", "hidden_size"),)
    return ()


def _grid(shape: tuple[int, ...] | None, extents: Extents) -> torch.Tensor:
    """The frames, the rows and the columns of patches of each image."""
    rows, numbers = shape if shape is not None and len(shape) == 2 else (1, 3)
    side = extents.patches
    return torch.tensor([[1, side, side][-numbers:]] * rows)


def _mask(parameter: Parameter, shape: tuple[int, ...]) -> torch.Tensor:
    """A mask that hides nothing."""
    is_bool = "bool" in (parameter.annotation + parameter.text[:120]).lower()
    shows = "padding" not in parameter.name
    return torch.full(shape, int(shows), dtype=torch.bool if is_bool else torch.long)


def _tokens(shape: tuple[int, ...], extents: Extents, generator: torch.Generator) -> torch.Tensor:
    """Distinct tokens, without the reserved ones at the beginning of the vocabulary."""
    size = find_setting(extents.config, VOCABULARY)
    size = int(size) if isinstance(size, int) else LENGTH
    start = min(_RESERVED_TOKENS, size - 1)
    count = int(torch.Size(shape).numel())
    picks = torch.randperm(min(size - start, 1 << 16), generator=generator) + start
    return picks[torch.arange(count) % len(picks)].reshape(shape)
