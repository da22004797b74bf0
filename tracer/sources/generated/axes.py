"""Inputs with more or fewer axes, as the error of a model asks for them."""

import re
from collections import Counter
from collections.abc import Iterator

import torch

from modelexport.tracer.sources.generated.extents import BATCH, Extents
from modelexport.tracer.sources.generated.tensors import Values, floating, whole, with_axis

_FEW = re.compile(
    r"not enough values to unpack \(expected (\d), got (\d)\)|must be a (\d)D tensor"
    r"|in range of \[-(\d), \d\], but got (\d)"
)
_MANY = re.compile(r"too many values to unpack \(expected (\d)\)")
_BATCHED = re.compile(r"or (\d)D \(batched\) input to \w+, but got input of size: \[([\d, ]+)\]")
_INDEXED = re.compile(r"too many indices for tensor of dimension (\d)")
_EXPANDED = re.compile(r"non-existing dimension 0")
_ONE_CHANNEL = re.compile(r"\bmono\b.*?got (\d+)")

_IMAGE_AXES = 4


def with_other_axes(message: str, values: Values, extents: Extents) -> Iterator[Values]:
    """Inputs that differ in their number of axes, the likeliest first.

    Args:
        message: What the model complains about, in one line.
        values: The inputs that it got.
        extents: The extents of axes.
    """
    if (match := _FEW.search(message)) is not None:
        yield from _with_more_axes(values, match, extents)
    if (match := _MANY.search(message)) is not None:
        yield from _with_fewer_axes(values, int(match[1]))
    if (match := _BATCHED.search(message)) is not None:
        yield from _without_axis(values, match[2].count(",") + 1 - int(match[1]))
    if (match := _INDEXED.search(message)) is not None:
        yield from _as_rows(values, int(match[1]))
    if _EXPANDED.search(message):
        yield from _with_last_axis(values)
    if (match := _ONE_CHANNEL.search(message)) is not None:
        for name, tensor in floating(values).items():
            if tensor.dim() == 2 and tensor.shape[1] == int(match[1]):
                yield {**values, name: tensor[:, None]}


def _with_more_axes(values: Values, match: re.Match[str], extents: Extents) -> Iterator[Values]:
    """The input that has too few axes with one more after its rows: of frames, images or one."""
    expected = int(match[1] or match[3] or int(match[5]) + 1)
    present = next((int(n) for n in (match[2], match[4]) if n), expected - 1)
    if expected - present != 1:
        return
    floats = floating(values)
    for dims in dict.fromkeys((present, expected)):
        for name, tensor in floats.items():
            if tensor.dim() == dims:
                frames = extents.frames if dims == _IMAGE_AXES else 2
                more = torch.stack([tensor + k / 8 for k in range(frames)], dim=1)
                yield {**values, name: more, **_with_axis_of_images(values, tensor, frames)}
                yield {**values, name: more[:, :1], **_with_axis_of_images(values, tensor, 1)}


def _with_axis_of_images(values: Values, image: torch.Tensor, count: int) -> Values:
    """The masks of images with an axis more, as the images get it.

    Args:
        values: The inputs.
        image: The images, one for each row.
        count: How many each row gets.
    """
    masks = {n: t for n, t in whole(values).items() if 2 < t.dim() < image.dim()}
    return {
        name: with_axis(mask, 1, count)
        for name, mask in masks.items()
        if len(mask) == len(image) and mask.shape[1:] == image.shape[1 - mask.dim() :]
    }


def _with_fewer_axes(values: Values, expected: int) -> Iterator[Values]:
    """The inputs that have too many axes: one row of vectors for each row, or the first of each."""
    for name, tensor in floating(values).items():
        if tensor.dim() <= expected:
            continue
        if expected == 3:
            yield {**values, name: tensor.flatten(1, -2)}
        if tensor.dim() == expected + 1:
            yield {**values, name: tensor[:, 0]}
            yield {**values, name: tensor[0]}


def _without_axis(values: Values, excess: int) -> Iterator[Values]:
    """An input with one axis less than it has, where a layer gets one too many."""
    for name, tensor in floating(values).items():
        for axis in range(tensor.dim() - 2, 0, -1) if excess == 1 else ():
            yield {**values, name: tensor.select(axis, 0)}


def _as_rows(values: Values, present: int) -> Iterator[Values]:
    """The inputs that have too few axes with one more: of the batch, or the last."""
    tensors = {**whole(values), **floating(values)}
    counts = Counter(len(t) for t in tensors.values() if t.dim())
    rows = max(counts, key=lambda count: (counts[count], -count), default=BATCH)
    few = {name: t for name, t in tensors.items() if t.dim() == present > 0}
    for name, tensor in sorted(few.items(), key=lambda pair: len(pair[1]) == rows):
        yield {**values, name: with_axis(tensor, 0, rows)}
        yield {**values, name: with_axis(tensor, present, 1)}


def _with_last_axis(values: Values) -> Iterator[Values]:
    """Masks with an axis of what they show, as many as a row has images."""
    counts = [t.shape[1] for t in floating(values).values() if t.dim() > _IMAGE_AXES]
    for name, tensor in reversed(list(whole(values).items())):
        if tensor.dim() == 2:
            for count in dict.fromkeys((*counts, 1)):
                yield {**values, name: with_axis(tensor, 2, count)}
