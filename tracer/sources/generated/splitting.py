"""Inputs that can be split up as a model does: its views have parts of one length."""

from collections.abc import Iterator
from math import prod

from modelexport.tracer.sources.generated.tensors import (
    Values,
    everywhere,
    floating,
    resized,
    whole,
)


def for_view(values: Values, shape: list[int], size: int) -> Iterator[Values]:
    """Inputs whose rows are as long as the model splits them up, or with one more axis.

    Args:
        values: The inputs that the model got.
        shape: The shape that it asked for, -1 for an axis that follows from the others.
        size: The number of elements that it has.
    """
    if shape[0] == -1:
        yield from _with_length(values, shape, size)
    if -1 in shape[1:]:
        yield from _in_parts(values, prod(shape[shape.index(-1) + 1 :]), size)
    count = prod(shape)
    for name, tensor in whole(values).items():
        if tensor.numel() == size and tensor.dim() > 1 and count > 0 and not count % len(tensor):
            length = max(1, count * tensor.shape[1] // size)
            yield {**values, name: resized(name, tensor, 1, length)}
    for name, tensor in whole(values).items():
        for extent in dict.fromkeys(n for n in shape if n > 1 and n not in tensor.shape):
            if tensor.numel() == size:
                yield {**values, name: tensor[..., None].expand(*tensor.shape, extent).contiguous()}


def _with_length(values: Values, shape: list[int], size: int) -> Iterator[Values]:
    """Rows of the length of one part, or several rows of tokens for one of the batch."""
    length = prod(shape[1:])
    for name, tensor in floating(values).items():
        if tensor.numel() == size and tensor.dim() > 1 and tensor.shape[-1] != length > 0:
            yield {**values, name: resized(name, tensor, -1, length)}
    for name, tensor in whole(values).items():
        for rows in shape[1:-1]:
            if tensor.numel() == size and rows > 1 and size % length:
                yield {**values, name: tensor.repeat(rows, *[1] * (tensor.dim() - 1))}


def _in_parts(values: Values, unit: int, size: int) -> Iterator[Values]:
    """All inputs with rows of a multiple of the length of one part."""
    for tensor in floating(values).values():
        if tensor.numel() == size and unit > 0:
            length = tensor.shape[-1]
            yield from everywhere(values, length, -(-length // unit) * unit)
