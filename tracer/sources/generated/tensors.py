"""The tensors among inputs, and tensors that differ from them in an extent."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

Values = dict[str, Any]
"""Inputs by the names of the parameters that get them."""

MAX_EXTENT = 1 << 16
"""Maximum extent of an axis that an error may ask for."""


def floating(values: Values) -> dict[str, torch.Tensor]:
    """The images, sounds and states."""
    tensors = {n: v for n, v in values.items() if isinstance(v, torch.Tensor)}
    return {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}


def whole(values: Values) -> dict[str, torch.Tensor]:
    """The tokens, masks and other tensors that are not floating."""
    tensors = {n: v for n, v in values.items() if isinstance(v, torch.Tensor)}
    return {name: tensor for name, tensor in tensors.items() if not tensor.is_floating_point()}


def random_tensor(name: str, shape: Sequence[int]) -> torch.Tensor:
    """The same numbers for the same name and shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(name)))


def resized(name: str, tensor: torch.Tensor, axis: int, extent: int) -> torch.Tensor:
    """A tensor with another extent of one axis; whole numbers are repeated."""
    if tensor.is_floating_point():
        shape = list(tensor.shape)
        shape[axis] = extent
        return random_tensor(name, shape)
    return tensor.index_select(axis, torch.arange(extent) % tensor.shape[axis])


def with_axis(tensor: torch.Tensor, axis: int, extent: int) -> torch.Tensor:
    """A tensor with one axis more, along which it is repeated."""
    shape = list(tensor.shape)
    shape.insert(axis % (tensor.dim() + 1), extent)
    return tensor.unsqueeze(axis).expand(shape).contiguous()


def with_axes_of(tensors: dict[str, torch.Tensor], got: int, want: int) -> Values:
    """The tensors that have an extent after their rows, with another one in its place."""
    changed: Values = {}
    for name, tensor in tensors.items():
        for axis in range(1, tensor.dim()):
            if tensor.shape[axis] == got:
                changed[name] = resized(name, changed.get(name, tensor), axis, want)
    return changed


def everywhere(values: Values, got: int, want: int) -> Iterator[Values]:
    """All inputs with another extent; tensors alone that have it as their rows."""
    if got != want <= MAX_EXTENT:
        tensors = {**floating(values), **whole(values)}
        if changed := with_axes_of(tensors, got, want):
            yield {**values, **changed}
