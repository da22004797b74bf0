"""A tensor for a parameter, by its name, its type and its documented shape."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

import torch

from modelexport.tracer.sources.generated.conventions import (
    IMAGE_GRID,
    POSITIONS,
    SIDE_WORDS,
    TOKENS,
    axis_words,
    vocabulary_size,
)
from modelexport.tracer.sources.generated.documented import Parameter
from modelexport.tracer.sources.generated.extents import LENGTH, Extents

_RESERVED_TOKENS = 8
"""The first tokens of a vocabulary, which tokenizers often reserve."""

_HEIGHT_AND_WIDTH = re.compile(r"height\b.*?\bwidth|\bh, w\b", re.DOTALL)
"""How documentation says that numbers are the size of an image."""

_MAX_TOKENS = 1 << 16
"""Maximum number of tokens of a vocabulary that are used."""

_GRID_NUMBERS = (2, 3)
_CORNER_NUMBERS = 4
"""Numbers for each image: with or without its frames; numbers of a box: two corners."""


def likely_shape(parameter: Parameter, extents: Extents) -> tuple[int, ...] | None:
    """The shape that a parameter likely has; None where nothing says it."""
    for axes in parameter.axes:
        numbers = _numbers(axes, parameter, extents)
        if numbers and all(numbers):
            return tuple(int(number) for number in numbers if number)
    if parameter.required and parameter.axes:
        first, *others = _numbers(parameter.axes[0], parameter, extents)
        row = extents.length(parameter.name)
        rows = extents.batch if parameter.axes[0][0].isidentifier() else row
        return (first or rows, *(int(number or row) for number in others))
    return None


def _numbers(axes: tuple[str, ...], parameter: Parameter, extents: Extents) -> list[int | None]:
    """The extents of the axes of a parameter, None for one that nothing says."""
    is_image = sum(axis_words(a) <= SIDE_WORDS for a in axes if a.isidentifier()) > 1
    extents = replace(extents, image=is_image)
    stated = {axis: _stated(axis, parameter, extents) for axis in axes}
    return [stated[axis] or extents.of(axis, parameter.name) for axis in axes]


def _stated(axis: str, parameter: Parameter, extents: Extents) -> int | None:
    """The extent of an axis that the text gives as a formula: `... length is equal to ...`."""
    if axis in extents.overrides or not axis.isidentifier():
        return None
    name = axis.replace("_", "[ _]")
    match = re.search(rf"\b{name}\b[^.\n]*? is equal to ([\w`.+*/() -]+)", parameter.text)
    if match is None:
        return None
    return extents.by_expression(match[1].replace("`", "").replace("config.", "").strip(" ."))


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
    if _is_grid(parameter, shape):
        return _grid(shape, extents)
    if shape is None:
        return None
    if parameter.is_mask:
        return _mask(parameter, shape)
    if name.endswith(POSITIONS):
        return torch.arange(shape[-1]).expand(shape).contiguous()
    if shape[-1] == _CORNER_NUMBERS and parameter.has_axis(str(_CORNER_NUMBERS)):
        corners = torch.arange(1, 1 + shape[-1])
        whole = not parameter.annotation or "Float" not in parameter.annotation
        return (corners if whole else corners / 10).expand(shape).contiguous()
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if name.endswith(TOKENS) or (parameter.is_whole and "vocabulary" in parameter.text):
        return distinct_tokens(shape, extents.config, generator)
    if parameter.is_whole:
        return torch.zeros(shape, dtype=torch.long)
    return torch.randn(shape, generator=generator)


def _is_grid(parameter: Parameter, shape: tuple[int, ...] | None) -> bool:
    """Whether a parameter says how many rows and columns of patches each image has."""
    if shape is None:
        return parameter.name.endswith(IMAGE_GRID)
    is_small = len(shape) == 2 and shape[1] in _GRID_NUMBERS
    return is_small and _HEIGHT_AND_WIDTH.search(parameter.text) is not None


def _grid(shape: tuple[int, ...] | None, extents: Extents) -> torch.Tensor:
    """The frames, the rows and the columns of patches of each image."""
    rows, numbers = shape if shape is not None and len(shape) == 2 else (1, 3)
    side = extents.patches
    return torch.tensor([[1, side, side][-numbers:]] * rows)


def _mask(parameter: Parameter, shape: tuple[int, ...]) -> torch.Tensor:
    """A mask that hides nothing."""
    return torch.ones(shape, dtype=torch.bool if parameter.is_boolean else torch.long)


def distinct_tokens(
    shape: tuple[int, ...], config: Any, generator: torch.Generator
) -> torch.Tensor:
    """Distinct tokens, without the reserved ones at the beginning of the vocabulary.

    Args:
        shape: Rows, and tokens in a row.
        config: The configuration, which says how many tokens there are.
        generator: Chooses them.
    """
    size = vocabulary_size(config) or LENGTH
    start = min(_RESERVED_TOKENS, size - 1)
    count = int(torch.Size(shape).numel())
    picks = torch.randperm(min(size - start, _MAX_TOKENS), generator=generator) + start
    return picks[torch.arange(count) % len(picks)].reshape(shape)
