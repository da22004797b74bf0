"""The weights of a reference by the modules that own them, also as optimisers merge them.

The nodes of two files need not work for the same modules: where a norm over batches is merged into
the convolution before it, a node may be known to work for both modules or only for one of them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import WeightSource

Owners = frozenset[str]
"""Keys of the modules whose weights a node reads."""


@dataclass(frozen=True)
class ReferenceWeight:
    """A weight of the reference.

    Attributes:
        name: Its name there.
        owners: The modules that own it.
        source: Gives its numbers.
    """

    name: str
    owners: Owners
    source: WeightSource


@dataclass(frozen=True)
class BatchNorm:
    """What a norm over batches does to each channel.

    Attributes:
        scale: Gives the factors, one for each channel.
        shift: Gives the summands.
    """

    scale: WeightSource
    shift: WeightSource


@dataclass(frozen=True)
class ReferenceWeights:
    """The weights of a reference.

    Attributes:
        weights: What gives the weights that some modules own together, by their names.
        norms: The norms over batches that the reference computes by themselves, by their keys.
        norm_behind: For the key of a module that of the norm that reads what it returns.
    """

    weights: Mapping[Owners, Mapping[str, WeightSource]]
    norms: Mapping[str, BatchNorm]
    norm_behind: Mapping[str, str]

    def of(self, owners: Owners, separate_norms: Collection[str]) -> list[ReferenceWeight]:
        """The weights that a node may read that works for some modules.

        A node that does the work of a norm, too, is not always known to do so: for a module alone
        there are its weights as they are, and as merging makes them.

        Args:
            owners: The modules.
            separate_norms: The norms over batches that the other side computes by themselves: they
                are merged into nothing there.
        """
        inner = owners - self.norms.keys()
        if not inner:
            return list(self._own(owners, separate_norms))
        norms = {key: self._norm_of(key, owners, inner) for key in inner}
        plain = frozenset(key for key in inner if norms[key] not in owners)
        merged = [
            weight
            for key, norm in norms.items()
            if norm is not None and norm not in separate_norms
            for weight in self._merged(key, norm)
        ]
        return [*self._own(plain, separate_norms), *merged]

    def _norm_of(self, key: str, owners: Owners, inner: Owners) -> str | None:
        """The norm that may be merged into a module."""
        norms = owners - inner
        if len(inner) == 1 == len(norms):
            return next(iter(norms))
        return self.norm_behind.get(key)

    def _own(self, owners: Owners, separate_norms: Collection[str]) -> Iterator[ReferenceWeight]:
        """The weights of modules as the reference holds them."""
        for group, sources in self.weights.items():
            if group & owners and not (group - owners).intersection(separate_norms):
                for name, source in sources.items():
                    yield ReferenceWeight(name, group, source)

    def _merged(self, key: str, norm_key: str) -> Iterator[ReferenceWeight]:
        """The weights of a module with the norm behind it."""
        norm = self.norms[norm_key]
        scale, shift = norm.scale(), norm.shift()
        if scale is None or shift is None:
            return
        sources = self.weights.get(frozenset({key}), {})
        arrays = {name: source() for name, source in sources.items()}
        for name, array in _with_bias(arrays, shift).items():
            for axis in _channel_axes(array, scale):
                yield ReferenceWeight(
                    f"{name}, merged with {norm_key}",
                    frozenset({key, norm_key}),
                    partial(_merge, array, scale, shift, axis),
                )


def _with_bias(arrays: Mapping[str, Array | None], shift: Array) -> dict[str, Array]:
    """The weights, with a bias of zeros where there is none."""
    known = {name: array for name, array in arrays.items() if array is not None}
    has_bias = any(array.ndim == 1 for array in known.values())
    return known if has_bias else known | {"bias": shift * 0}


def _channel_axes(array: Array, scale: Array) -> list[int]:
    """The axes that may be those of the channels: the first, or the second of transposed ones."""
    return [axis for axis, extent in enumerate(array.shape[:2]) if extent == scale.size]


def _merge(array: Array, scale: Array, shift: Array, axis: int) -> Array:
    """A weight or a bias with the norm behind it."""
    shape = [1] * array.ndim
    shape[axis] = scale.size
    merged: Array = array * scale.reshape(shape)
    return merged + shift if array.ndim == 1 else merged
