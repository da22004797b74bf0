"""The weights of a reference by the modules that own them, also as optimisers merge them.

The nodes of two files need not work for the same modules: where a norm over batches is merged into
the convolution before it, a node may be known to work for both modules or only for one of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import WeightSource

Owners = frozenset[str]
"""Keys of the modules whose weights a node reads."""

SeparateNorms = Mapping[str, Owners]
"""By the key of a norm over batches that the other side computes by itself, and merges into
nothing, the modules whose output it reads."""


@dataclass(frozen=True)
class ReferenceWeight:
    """A weight of the reference.

    Attributes:
        name: Its name there.
        owners: The modules whose node reads it.
        source: Gives its numbers.
        parameter: The module whose parameter it is, the first of several, and the name there;
            None where that is not known.
        norm: The norm over batches that is merged into it here; None where none is.
    """

    name: str
    owners: Owners
    source: WeightSource
    parameter: tuple[str, str] | None = None
    norm: str | None = None

    @property
    def label(self) -> str:
        """How it is shown."""
        return self.name if self.norm is None else f"{self.name}, merged with {self.norm}"


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
        weights: The weights that nodes read which work for the same modules.
        norms: The norms over batches that the reference computes by themselves, by their keys.
        norm_behind: For the key of a module that of the norm that reads what it returns.
    """

    weights: Mapping[Owners, Sequence[ReferenceWeight]]
    norms: Mapping[str, BatchNorm]
    norm_behind: Mapping[str, str]

    @cached_property
    def _groups(self) -> dict[str, list[Owners]]:
        """For each module those with which it owns weights, itself included."""
        groups: dict[str, list[Owners]] = {}
        for group in self.weights:
            for key in group:
                groups.setdefault(key, []).append(group)
        return groups

    def of(self, owners: Owners, separate_norms: SeparateNorms) -> list[ReferenceWeight]:
        """The weights that a node may read that works for some modules.

        A node that does the work of a norm, too, is not always known to do so: for a module alone
        there are its weights as they are, and as merging makes them.

        Args:
            owners: The modules.
            separate_norms: The norms over batches that the other side merges into nothing.
        """
        inner = owners - self.norms.keys()
        if not inner:
            computed_ahead = sorted(owners - separate_norms.keys())
            channels = (weight for key in computed_ahead for weight in self._channels(key))
            return [*self._own(owners, separate_norms), *channels]
        norms = {key: self._norm_of(key, owners, inner) for key in inner}
        plain = frozenset(key for key in inner if norms[key] not in owners)
        merged = [
            weight
            for key, norm in norms.items()
            if norm is not None and norm not in separate_norms
            for weight in self._merged(key, norm)
        ]
        return [*self._own(plain, separate_norms), *merged]

    def inside(self, keys: Owners, separate_norms: SeparateNorms) -> list[ReferenceWeight]:
        """The weights of modules, norms over batches aside, that a node around them may read.

        Args:
            keys: The modules.
            separate_norms: The norms over batches that the other side merges into nothing.
        """
        return list(self._own(keys - self.norms.keys(), separate_norms))

    def _norm_of(self, key: str, owners: Owners, inner: Owners) -> str | None:
        """The norm that may be merged into a module."""
        norms = owners - inner
        if len(inner) == 1 == len(norms):
            return next(iter(norms))
        return self.norm_behind.get(key)

    def _own(self, owners: Owners, separate_norms: SeparateNorms) -> Iterator[ReferenceWeight]:
        """The weights of modules as the reference holds them.

        Those into which only the reference has merged a norm are left out.
        """
        merged_here = frozenset[str]().union(
            *(before for norm, before in separate_norms.items() if norm not in self._groups)
        )
        groups = (group for key in sorted(owners) for group in self._groups.get(key, ()))
        for group in dict.fromkeys(groups):
            is_merged = len(group) > 1 and bool(group & separate_norms.keys())
            if not is_merged and not group & merged_here:
                yield from self.weights[group]

    def _channels(self, key: str) -> Iterator[ReferenceWeight]:
        """What a norm does to each channel, which a node may read in place of its weights."""
        norm = self.norms[key]
        for name, source in (("scale", norm.scale), ("shift", norm.shift)):
            yield ReferenceWeight(name, frozenset({key}), source, (key, name))

    def _merged(self, key: str, norm_key: str) -> Iterator[ReferenceWeight]:
        """The weights of a module with the norm after it."""
        norm = self.norms[norm_key]
        scale, shift = norm.scale(), norm.shift()
        if scale is None or shift is None:
            return
        weights = self.weights.get(frozenset({key}), ())
        arrays = {weight.name: weight.source() for weight in weights}
        for name, array in _with_bias(arrays, shift).items():
            for axis in _channel_axes(array, scale):
                source = partial(_merge, array, scale, shift, axis)
                owners = frozenset({key, norm_key})
                yield ReferenceWeight(name, owners, source, (key, name), norm_key)


def _with_bias(arrays: Mapping[str, Array | None], shift: Array) -> dict[str, Array]:
    """The weights, with a bias of zeros where there is none."""
    known = {name: array for name, array in arrays.items() if array is not None}
    has_bias = any(array.ndim == 1 for array in known.values())
    return known if has_bias else known | {"bias": shift * 0}


def _channel_axes(array: Array, scale: Array) -> list[int]:
    """The axes that may be those of the channels: the first, or the second of transposed ones."""
    return [axis for axis, extent in enumerate(array.shape[:2]) if extent == scale.size]


def _merge(array: Array, scale: Array, shift: Array, axis: int) -> Array:
    """A weight or a bias with the norm after it."""
    shape = [1] * array.ndim
    shape[axis] = scale.size
    merged: Array = array * scale.reshape(shape)
    return merged + shift if array.ndim == 1 else merged
