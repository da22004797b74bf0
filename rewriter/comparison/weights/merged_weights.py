"""The weights of a model in torch as an exporter merges them: a norm into what comes before it."""

from collections.abc import Mapping, Sequence
from functools import partial

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import (
    SCALE,
    SHIFT,
    ModelValues,
    ModuleValues,
    WeightSource,
)


class ModelWeights:
    """The weights of the modules of a model, as they are and with the norm behind them.

    Args:
        values: A run of the model, with its weights.
    """

    def __init__(self, values: ModelValues) -> None:
        self._weights = values.weights
        self._norms = _norms_behind(values.calls, values.weights)

    def of(self, owners: tuple[str, ...]) -> Mapping[str, WeightSource]:
        """The weights of a module, or those of one and the norm behind it; by name.

        A node that works for both does not always say so: for a module alone there are both.

        Args:
            owners: Paths of the modules.
        """
        norms = [path for path in owners if SCALE in self._weights.get(path, {})]
        others = [path for path in owners if path not in norms]
        if len(others) == 1 and len(norms) <= 1:
            norm = self._norms.get(others[0]) if not norms else norms[0]
            merged = {} if norm is None else self._merged(others[0], norm)
            return merged if norms else {**self._own(others[0]), **merged}
        return self._own(owners[0]) if len(owners) == 1 else {}

    def _own(self, path: str) -> dict[str, WeightSource]:
        sources = self._weights.get(path, {})
        return {name: source for name, source in sources.items() if name not in {SCALE, SHIFT}}

    def _merged(self, path: str, norm: str) -> dict[str, WeightSource]:
        scale, shift = (self._weights[norm][name]() for name in (SCALE, SHIFT))
        if scale is None or shift is None:
            return {}
        arrays = {name: source() for name, source in self._own(path).items()}
        return {
            f"{name}, merged with {norm}": partial(_merged, array, scale, shift)
            for name, array in _with_bias(arrays, shift).items()
            if array.shape[:1] == scale.shape
        }


def _norms_behind(
    calls: Sequence[ModuleValues], weights: Mapping[str, Mapping[str, WeightSource]]
) -> dict[str, str]:
    """For the path of a module that of the norm over batches that reads what it returns."""
    return {
        calls[source].path: call.path
        for call in calls
        if SCALE in weights.get(call.path, {})
        for sources in call.sources
        for source in sources
    }


def _with_bias(arrays: Mapping[str, Array | None], shift: Array) -> dict[str, Array]:
    """The weights, with a bias of zeros where there is none."""
    known = {name: array for name, array in arrays.items() if array is not None}
    has_bias = any(array.ndim == 1 for array in known.values())
    return known if has_bias else known | {"bias": shift * 0}


def _merged(array: Array, scale: Array, shift: Array) -> Array:
    """A weight or a bias with the norm behind it; the first axis is that of the channels."""
    merged: Array = array * scale.reshape(-1, *[1] * (array.ndim - 1))
    return merged + shift if array.ndim == 1 else merged
