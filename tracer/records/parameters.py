"""Which parameter each initializer of an exported graph holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import Array
from modelexport.tracer.eager.dispatch import numpy_of

_MAX_PERMUTED_RANK = 4
_COMPARED_WHOLE = 4096
_SAMPLE = 509

_Corners = tuple[int, complex, complex]


class ParameterIndex:
    """Finds the parameter or buffer that an array holds: by name, else by what it contains."""

    def __init__(self, model: nn.Module) -> None:
        self._tensors = dict(named_tensors(model))
        self._by_corners: dict[_Corners, list[str]] = defaultdict(list)
        for name, tensor in self._tensors.items():
            if tensor.numel():
                self._by_corners[_corners(tensor)].append(name)

    def candidates(self, name: str, values: Array) -> list[str]:
        """Qualified names of the parameters that an initializer may hold.

        Exactly one when the name says so; else all that hold the same numbers, transposed
        or reshaped or not. Numbers too few or too plain to tell anything are held by none.
        """
        if name in self._tensors:
            return [name]
        if values.size < 2 or values.dtype.kind not in "fiub" or _constant(values):
            return []
        candidates = self._by_corners.get(_corners(values), ())
        return [c for c in candidates if _same(self._array(c), values)]

    def changed(self, name: str, values: Array) -> bool:
        """Whether an initializer holds numbers that are those of no parameter."""
        if name in self._tensors:
            parameter = self._array(name)
            return parameter.size != values.size or not _same(parameter, values)
        return values.dtype.kind == "f" and values.ndim > 0 and not self.candidates(name, values)

    def absent(self, held: Iterable[str | None]) -> Iterator[tuple[str, Array]]:
        """Parameters and buffers, each once, that none of the named ones is."""
        there = {id(self._tensors[name]) for name in held if name is not None}
        for name, tensor in self._tensors.items():
            if id(tensor) not in there and not tensor.is_complex():
                yield name, self._array(name)

    def _array(self, name: str) -> Array:
        return numpy_of(self._tensors[name])


def named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, each once, under its first qualified name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _corners(values: Array | torch.Tensor) -> _Corners:
    """What no transposition or reshape changes: the size, the first and the last element."""
    if isinstance(values, torch.Tensor):
        values = values.detach()
    size = values.numel() if isinstance(values, torch.Tensor) else values.size
    first, last = (0,) * values.ndim, (-1,) * values.ndim
    return size, complex(values[first]), complex(values[last])


def _constant(values: Array) -> bool:
    first = values[(0,) * values.ndim]
    return bool((_sample(values) == first).all() and (values == first).all())


def _same(parameter: Array, values: Array) -> bool:
    """Whether two arrays hold the same numbers, up to a transposition or a reshape."""
    if parameter.dtype.kind != values.dtype.kind:
        return False
    if parameter.shape == values.shape and _equal(parameter, values):
        return True
    if 1 < parameter.ndim == values.ndim <= _MAX_PERMUTED_RANK:
        for axes in permutations(range(parameter.ndim)):
            turned = parameter.transpose(axes)
            if turned.shape == values.shape and _equal(turned, values):
                return True
    return _equal(parameter.reshape(-1), values.reshape(-1))


def _equal(left: Array, right: Array) -> bool:
    """Whether two arrays of one shape are equal; of large ones, evenly spread elements decide.

    A weight that an exporter changed differs everywhere, so the sample sees it, and nobody
    waits for hundreds of megabytes to be compared.
    """
    if left.size <= _COMPARED_WHOLE:
        return np.array_equal(left, right)
    return np.array_equal(_sample(left), _sample(right))


def _sample(values: Array) -> Array:
    """Evenly spread elements, without a copy of what is transposed."""
    places = np.linspace(0, values.size - 1, _SAMPLE).astype(np.int64)
    found: Array = values[np.unravel_index(places, values.shape)]
    return found
