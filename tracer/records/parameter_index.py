"""Finding the parameter that an initializer of an exported graph holds."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import Array, standard_type
from modelexport.tracer.eager.arrays import real_numbers, to_numpy

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
            if tensor.numel() and (corners := _tensor_corners(tensor)) is not None:
                self._by_corners[corners].append(name)

    def candidates(self, name: str, values: Array | None) -> list[str]:
        """Qualified names of the parameters that an initializer may hold.

        Args:
            name: Name of the initializer.
            values: Its values; None where nobody knows them.

        Returns:
            One parameter if it has the same name. Otherwise all parameters that hold the same
            values, as they are, transposed or reshaped. None for a scalar or for values that are
            all equal.
        """
        if name in self._tensors:
            return [name]
        if values is None:
            return []
        values = standard_type(values)
        if values.size < 2 or values.dtype.kind not in "fiub" or _is_uniform(values):
            return []
        candidates = self._by_corners.get(_corners(values), ())
        return [c for c in candidates if self._holds(c, values)]

    def equal(self, name: str, values: Array | None) -> set[str]:
        """Qualified names of all parameters that hold what an initializer holds.

        Args:
            name: Name of the initializer.
            values: Its values; None where nobody knows them.
        """
        named = {name} & self._tensors.keys()
        if values is None:
            return named
        values = standard_type(values)
        if not values.size or values.dtype.kind not in "fiub":
            return named
        candidates = self._by_corners.get(_corners(values), ())
        return named | {c for c in candidates if self._holds(c, values)}

    def is_changed(self, name: str, values: Array) -> bool:
        """Whether the exporter computed an initializer: no parameter holds its values."""
        values = standard_type(values)
        if name in self._tensors:
            return not self._holds(name, values)
        return values.dtype.kind == "f" and values.ndim > 0 and not self.candidates(name, values)

    def absent(self, present: Iterable[str | None]) -> Iterator[tuple[str, Array]]:
        """Parameters and buffers whose values are known, each once, and not among some names."""
        present_ids = {id(self._tensors[name]) for name in present if name is not None}
        for name, tensor in self._tensors.items():
            if id(tensor) not in present_ids and (array := real_numbers(tensor)) is not None:
                yield name, array

    def _holds(self, name: str, values: Array) -> bool:
        """Whether a parameter has these values; also where its own values cannot be known."""
        parameter = to_numpy(self._tensors[name])
        if parameter is None:
            return True
        return parameter.size == values.size and _has_same_values(parameter, values)


def named_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers, each once, with its first qualified name."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _corners(values: Array) -> _Corners:
    """What transposing and reshaping do not change: the size, the first and the last element."""
    first, last = (0,) * values.ndim, (-1,) * values.ndim
    return values.size, complex(values[first]), complex(values[last])


def _tensor_corners(tensor: torch.Tensor) -> _Corners | None:
    """The corners of a tensor, without a copy of the rest; None where numpy cannot hold them."""
    if tensor.layout is not torch.strided:
        return None
    first, last = (0,) * tensor.ndim, (-1,) * tensor.ndim
    arrays = (to_numpy(tensor.detach()[corner]) for corner in (first, last))
    corners = [complex(array[()]) for array in arrays if array is not None]
    return (tensor.numel(), *corners) if len(corners) == 2 else None  # type: ignore[return-value]


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

    A weight that an exporter changed differs everywhere, so a sample shows it. Comparing hundreds
    of megabytes would take long.
    """
    if left.size <= _MAX_COMPARED_WHOLE:
        return np.array_equal(left, right)
    return np.array_equal(_sample(left), _sample(right))


def _sample(values: Array) -> Array:
    """Evenly spaced elements, without a copy of a transposed array."""
    positions = np.linspace(0, values.size - 1, _SAMPLE_SIZE).astype(np.int64)
    sample: Array = values[np.unravel_index(positions, values.shape)]
    return sample
