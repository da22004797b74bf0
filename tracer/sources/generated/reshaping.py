"""Inputs with other shapes or types, as the numbers in an error ask for them."""

import re
from collections.abc import Iterator

import torch

from modelexport.tracer.sources.generated.axes import with_other_axes
from modelexport.tracer.sources.generated.extents import Extents
from modelexport.tracer.sources.generated.patches import as_cells, as_patches
from modelexport.tracer.sources.generated.splitting import for_view
from modelexport.tracer.sources.generated.tensors import (
    MAX_EXTENT,
    Values,
    everywhere,
    floating,
    random_tensor,
    resized,
    whole,
    with_axes_of,
    with_axis,
)

_MAX_PARTS = 8
"""Maximum number of numbers that a model adds to each row or takes away from it."""

_MAX_ELEMENTS = 1 << 22
_MAX_ROWS = 64
_MAX_FRAMES = 16
"""Maximum extents of an axis more that tokens and images get."""

_PRODUCT = re.compile(
    r"cannot be multiplied \(\d+x(?P<got>\d+) and (?P<want>\d+)x\d+\)"
    r"|size \((?P<got2>\d+)\*\d+\) doesn't match model \((?P<want2>\d+)\*\d+\)"
)
_CHANNELS = re.compile(
    r"expected input\[(?P<shape>[\d, ]+)\] to have (?P<want>\d+) channels, "
    r"but got (?P<got>\d+) channels"
)
_EXTENTS = (
    re.compile(r"shape \[\*, (?P<want>\d+)\], but got input of size\s*\[[\d, ]*?(?P<got>\d+)\]"),
    re.compile(r"suffix torch\.Size\(\[(?P<got>\d+).*? expected suffix .*?\((?P<want>\d+)"),
    re.compile(r"\((?P<got>\d+)\) doesn't match model(?: \w+)? \((?P<want>\d+)\)"),
    re.compile(r"inputs: (?P<got>\d+) doesn't correspond to [\w.]+: (?P<want>\d+)"),
    re.compile(r"length (?:to be )?(?P<want>\d+)\b.*?(?:found|got|but)\D*(?P<got>\d+)"),
)  # fmt: skip
_MULTIPLE = (
    re.compile(r"length (?P<got>\d+) is not a multiple of (?P<unit>\d+)"),
    re.compile(r"multiple of .*?(?P<unit>\d+)\)?,? but got (?P<got>\d+)"),
)
_MISMATCH = (
    re.compile(r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)"),
    re.compile(r"Expected size (\d+) but got size (\d+)"),
)
_SIZES = re.compile(
    r"should be of size \((?P<want>[\d, ]+)\), but is torch\.Size\(\[(?P<got>[\d, ]+)\]"
)
_MASK = re.compile(r"shape of the mask \[(.*?)\] at index (\d+).*?tensor \[(.*?)\] at index (\d+)")
_PLACES = re.compile(r"value tensor of shape \[(\d+).*?indexing result of shape \[(\d+)")
_VIEW = re.compile(r"shape '\[([-\d, ]+)\]' is invalid for input of size (\d+)")
_SHORT = re.compile(
    r"[Kk]ernel size can't be greater|[Tt]oo (small|short)|[Pp]adding size should be less"
)
_WHOLE = re.compile(
    r"tuple of ints, but found|scalar types: Long, Int|used as indices must be long"
)
_FLOATING = re.compile(r"Input type \((long int|int|bool)\) and bias type \(float\)")
_BOOLEAN = re.compile(r"boolean mask|[Bb]ool.* but got|expected.*[Bb]ool|bitwise_not")


def reshaped(message: str, values: Values, extents: Extents) -> Iterator[Values]:
    """Inputs that differ in a shape or a type that an error complains about, the likeliest first.

    Args:
        message: What the model complains about, in one line.
        values: The inputs that it got.
        extents: The extents of axes.
    """
    for pattern in _MULTIPLE:
        if (match := pattern.search(message)) is not None:
            got, unit = int(match["got"]), int(match["unit"])
            yield from everywhere(values, got, -(-got // unit) * unit)
    if (match := _VIEW.search(message)) is not None:
        yield from for_view(values, [int(n) for n in match[1].split(",")], int(match[2]))
    yield from with_other_axes(message, values, extents)
    if _SHORT.search(message):
        yield from _enlarged(values)
    yield from _for_weights(message, values, extents)
    yield from _for_each_other(message, values)
    yield from _with_types(message, values)


def _for_weights(message: str, values: Values, extents: Extents) -> Iterator[Values]:
    """Inputs that fit the weights of the layer that they meet first."""
    if (match := _PRODUCT.search(message)) is not None:
        got, want = int(match["got"] or match["got2"]), int(match["want"] or match["want2"])
        yield from as_patches(values, want, extents)
        yield from _with_extent(values, got, want)
    if (match := _CHANNELS.search(message)) is not None:
        yield from _with_channels(values, match)
    for pattern in _EXTENTS:
        if (match := pattern.search(message)) is not None:
            yield from _with_extent(values, int(match["got"]), int(match["want"]))


def _for_each_other(message: str, values: Values) -> Iterator[Values]:
    """Inputs that fit each other."""
    for pattern in _MISMATCH:
        if (match := pattern.search(message)) is not None:
            yield from as_cells(values, int(match[1]), int(match[2]))
            yield from _agreeing(values, int(match[1]), int(match[2]))
            yield from _with_fewer_rows(values, int(match[1]), int(match[2]))
    if (match := _SIZES.search(message)) is not None:
        got, want = (int(match[key].rpartition(",")[2]) for key in ("got", "want"))
        yield from _agreeing(values, got, want)
    if (match := _MASK.search(message)) is not None:
        mask, tensor = ([int(n) for n in match[k].split(",")] for k in (1, 3))
        yield from _agreeing(values, mask[int(match[2])], tensor[int(match[4])])
    if (match := _PLACES.search(message)) is not None:
        yield from _with_places(values, int(match[1]), int(match[2]))


def _with_extent(values: Values, got: int, want: int) -> Iterator[Values]:
    """The floating inputs with another extent: axes swapped, the last axis, or all axes."""
    if got == want or want > MAX_EXTENT:
        return
    floats = floating(values)
    for name, tensor in floats.items():
        if tensor.dim() == 3 and tensor.shape[1] == want != tensor.shape[2]:
            yield {**values, name: tensor.transpose(1, 2).contiguous()}
    for name, tensor in floats.items():
        if tensor.dim() > 1 and tensor.shape[-1] == got:
            yield {**values, name: resized(name, tensor, -1, want)}
    if changed := with_axes_of(floats, got, want):
        yield {**values, **changed}
    for name, tensor in floats.items():  # the model puts numbers to it, or takes some away
        more = got - tensor.shape[-1]
        if tensor.dim() > 2 and 0 < abs(more) <= _MAX_PARTS and want > more:
            yield {**values, name: resized(name, tensor, -1, want - more)}
    for name, tensor in floats.items():  # a part of what the model has put side by side
        if tensor.dim() > 2 and tensor.shape[-1] >= got - want > 0:
            yield {**values, name: tensor[..., : tensor.shape[-1] - got + want]}
    if changed := {n: v for n, v in floats.items() if got in v.shape}:
        shapes = {n: [want if e == got else e for e in v.shape] for n, v in changed.items()}
        yield {**values, **{name: random_tensor(name, shape) for name, shape in shapes.items()}}
    yield from _in_proportion(values, got, want)


def _in_proportion(values: Values, got: int, want: int) -> Iterator[Values]:
    """The floating inputs with an axis changed by the ratio of what came of it and what must.

    Strides and parts that the model puts side by side leave no axis of the extent that it names.
    """
    floats = {n: t for n, t in floating(values).items() if t.numel() <= _MAX_ELEMENTS}
    if any(got in tensor.shape for tensor in floats.values()):
        return
    for axis in (-1, -2, -3):
        extents = {name: t.shape[axis] for name, t in floats.items() if t.dim() > max(2, -axis)}
        changed = {n: e * want // got for n, e in extents.items() if e * want % got == 0 < e * want}
        if changed and max(changed.values()) <= MAX_EXTENT:
            yield {
                **values,
                **{n: resized(n, floats[n], axis, extent) for n, extent in changed.items()},
            }


def _with_channels(values: Values, match: re.Match[str]) -> Iterator[Values]:
    """Inputs for a convolution: with an axis of channels, with axes swapped, or other channels."""
    got, want = int(match["got"]), int(match["want"])
    shape = [int(extent) for extent in match["shape"].split(",")]
    for name, tensor in floating(values).items():
        if tensor.dim() == 2 and list(tensor.shape) in (shape, shape[1:]):
            yield {**values, name: tensor[:, None].expand(-1, want, -1).contiguous()}
        if tensor.dim() == 3 and tensor.shape[-1] == want != tensor.shape[1]:
            yield {**values, name: tensor.transpose(1, 2).contiguous()}
    yield from _with_extent(values, got, want)


def _agreeing(values: Values, one: int, other: int) -> Iterator[Values]:
    """Inputs in which two extents that must agree do: of whole numbers first."""
    for tensors in (whole(values), floating(values)):
        for got, want in ((one, other), (other, one)):
            if 1 < want <= MAX_EXTENT and (changed := with_axes_of(tensors, got, want)):
                yield {**values, **changed}
                if len(changed) > 1:
                    yield from ({**values, name: changed[name]} for name in changed)
    for name, tensor in whole(values).items():
        if tensor.dim() == 1:
            yield {**values, name: tensor[:, None]}
    for extent in (other, one):
        for name, tensor in whole(values).items():
            if tensor.dim() == 2 and 1 < extent <= _MAX_ROWS and extent not in tensor.shape:
                yield {**values, name: with_axis(tensor, 2, extent)}
        for name, tensor in floating(values).items():
            if tensor.dim() == 4 and 1 < extent <= _MAX_FRAMES:
                yield {**values, name: with_axis(tensor, 1, extent)}


def _with_fewer_rows(values: Values, one: int, other: int) -> Iterator[Values]:
    """Images or sounds that give so many times more features than there are places for them."""
    more, fewer = max(one, other), min(one, other)
    for name, tensor in floating(values).items():
        rows = len(tensor) * fewer // more if fewer and more % fewer == 0 else 0
        if tensor.dim() > 2 and 0 < rows < len(tensor):
            yield {**values, name: tensor[:rows]}
    for name, tensor in whole(values).items():
        rows = len(tensor) * fewer // more if fewer and more % fewer == 0 else 0
        if tensor.dim() == 2 and tensor.shape[1] in {2, 3} and 0 < rows < len(tensor):
            yield {**values, name: tensor[:rows]}


def _with_places(values: Values, features: int, places: int) -> Iterator[Values]:
    """Longer or shorter tokens and masks, so that they have a place for each feature."""
    tensors = {name: tensor for name, tensor in whole(values).items() if tensor.dim() > 1}
    changed = {}
    for name, tensor in tensors.items():
        length = tensor.shape[1] * features // max(1, places)
        if 0 < length <= MAX_EXTENT and length != tensor.shape[1]:
            changed[name] = resized(name, tensor, 1, length)
    if changed:
        yield {**values, **changed}


def _enlarged(values: Values) -> Iterator[Values]:
    """Sounds that are four times as long, and images twice as high and wide."""
    for name, tensor in floating(values).items():
        if tensor.dim() < 2 or tensor.numel() > _MAX_ELEMENTS:
            continue
        shape = list(tensor.shape)
        axes, factor = ([-2, -1], 2) if tensor.dim() > 3 else ([-1], 4)
        for axis in axes:
            shape[axis] *= factor
        yield {**values, name: random_tensor(name, shape)}


def _with_types(message: str, values: Values) -> Iterator[Values]:
    """Inputs with whole numbers, other whole numbers or truth values in place of what they have."""
    if (match := _WHOLE.search(message)) is not None:
        numbers = (1, 0) if "ints" in match[0] else (0, 1)  # sizes are not 0, kinds start with 0
        for name, tensor in sorted(floating(values).items(), key=lambda pair: pair[1].dim()):
            if tensor.dim() <= 2:
                for number in numbers:
                    yield {**values, name: torch.full_like(tensor, number, dtype=torch.long)}
    if _FLOATING.search(message):
        for name, tensor in whole(values).items():
            if tensor.dim() > 2:
                yield {**values, name: random_tensor(name, tensor.shape)}
    if _BOOLEAN.search(message):
        for name, tensor in whole(values).items():
            if tensor.dtype is not torch.bool and int(tensor.max()) <= 1:
                yield {**values, name: tensor.bool()}
