"""Finding the parameter that an initializer of an exported graph holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import Array
from modelexport.tracer.eager.arrays import to_numpy

_MAX_PERMUTED_RANK = 4
"""Maximum rank of tensors of which all permutations of axes are tried."""

_MAX_COMPARED_WHOLE = 4096
"""Maximum number of elements of arrays that are compared whole."""

_SAMPLE_SIZE = 509
"""Number of elements of a larger array that are compared. A prime, so that the sample does not
follow the rows of the array."""

_Corners = tuple[int, complex, complex]


class ParameterIndex:
    """The parameters and buffers of a model, by name and by content.

    Args:
        model: The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._tensors = dict(named_tensors(model))
        self._by_corners: dict[_Corners, list[str]] = defaultdict(list)
        for name, tensor in self._tensors.items():
            if tensor.numel():
                self._by_corners[_corners(tensor)].append(name)

    def candidates(self, name: str, values: Array) -> list[str]:
        """Qualified names of the parameters that an initializer may hold.

        Args:
            name: Name of the initializer.
            values: Its values.

        Returns:
            One parameter when it has the same name. Else all that hold the same values, as they
            are, transposed or reshaped. None for a scalar or for values that are all equal.
        """
        if name in self._tensors:
            return [name]
        if values.size < 2 or values.dtype.kind not in "fiub" or _is_uniform(values):
            return []
        candidates = self._by_corners.get(_corners(values), ())
        return [c for c in candidates if _has_same_values(self._array(c), values)]

    def is_changed(self, name: str, values: Array) -> bool:
        """Whether the exporter computed an initializer: no parameter holds its values."""
        if name in self._tensors:
            parameter = self._array(name)
            return parameter.size != values.size or not _has_same_values(parameter, values)
        return values.dtype.kind == "f" and values.ndim > 0 and not self.candidates(name, values)

    def absent(self, present: Iterable[str | None]) -> Iterator[tuple[str, Array]]:
        """Name and values of parameters and buffers, each once, that are not among some names."""
        present_ids = {id(self._tensors[name]) for name in present if name is not None}
        for name, tensor in self._tensors.items():
            if id(tensor) not in present_ids and not tensor.is_complex():
                yield name, self._array(name)

    def _array(self, name: str) -> Array:
        return to_numpy(self._tensors[name])


def named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, each once, with its first qualified name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _corners(values: Array | torch.Tensor) -> _Corners:
    """What transposing and reshaping keep: the size, the first and the last element."""
    if isinstance(values, torch.Tensor):
        values = values.detach()
    size = values.numel() if isinstance(values, torch.Tensor) else values.size
    first, last = (0,) * values.ndim, (-1,) * values.ndim
    return size, complex(values[first]), complex(values[last])


def _is_uniform(values: Array) -> bool:
    """Whether all elements are equal. A sample is looked at first, which is fast."""
    first = values[(0,) * values.ndim]
    return bool((_sample(values) == first).all() and (values == first).all())


def _has_same_values(parameter: Array, values: Array) -> bool:
    """Whether two arrays are equal, up to a transposition or a reshape."""
    if parameter.dtype.kind != values.dtype.kind:
        return False
    if parameter.shape == values.shape and _equal(parameter, values):
        return True
    if 1 < parameter.ndim == values.ndim <= _MAX_PERMUTED_RANK:
        for axes in permutations(range(parameter.ndim)):
            transposed = parameter.transpose(axes)
            if transposed.shape == values.shape and _equal(transposed, values):
                return True
    return _equal(parameter.reshape(-1), values.reshape(-1))


def _equal(left: Array, right: Array) -> bool:
    """Whether two arrays of one shape are equal; of large arrays, a sample decides.

    A weight that an exporter changed differs everywhere, so a sample shows it, and nobody waits
    until hundreds of megabytes are compared.
    """
    if left.size <= _MAX_COMPARED_WHOLE:
        return np.array_equal(left, right)
    return np.array_equal(_sample(left), _sample(right))


def _sample(values: Array) -> Array:
    """Evenly spaced elements, without a copy of a transposed array."""
    positions = np.linspace(0, values.size - 1, _SAMPLE_SIZE).astype(np.int64)
    sample: Array = values[np.unravel_index(positions, values.shape)]
    return sample
