"""Values that were recorded are recognised by their sketches, which cost a tenth of sorting.

A file whose numbers were kept computes what was recorded: its values need no order statistics
of their own, they have the recorded ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, value_fingerprints
from modelexport.hierarchy.sketches import PROJECTIONS, Sketch, value_sketches

_SAME = 1e-5
"""Largest difference of the sketches of one value, over its sketch: what rounding leaves."""

_MOST_ALIKE = 8
"""Recorded values of near sketches that are looked at."""


class _Known(NamedTuple):
    """Recorded values of one size, ordered by the first number of their sketches."""

    prints: list[ValueFingerprint]
    sketches: Sketch


class Recalling:
    """Makes fingerprints of values most of which were recorded.

    Args:
        recorded: Fingerprints of recorded values.
    """

    def __init__(self, recorded: Iterable[ValueFingerprint]) -> None:
        self._prints: dict[int, dict[bytes, ValueFingerprint]] = defaultdict(dict)
        for known in recorded:
            infinite = known.negative_infinite or known.positive_infinite or known.nan
            if known.kind == "f" and known.sketch and not infinite:
                self._prints[known.size].setdefault(known.sketch, known)
        self._known: dict[int, _Known] = {}

    def fingerprints(
        self, arrays: Sequence[Array], *, threads: int = 1
    ) -> list[ValueFingerprint | None]:
        """The fingerprints of some values, as `value_fingerprints` gives them.

        Either all values of a size that are finite get recorded order statistics, or none: those
        of two that hold the same numbers in another order must not differ by what rounding leaves.
        """
        sizes: dict[int, list[int]] = defaultdict(list)
        for place, array in enumerate(arrays):
            if array.dtype.kind == "f" and array.size in self._prints:
                sizes[array.size].append(place)
        found: dict[int, ValueFingerprint] = {}
        for size, places in sizes.items():
            found |= self._recall(size, {place: arrays[place] for place in places})
        rest = [place for place in range(len(arrays)) if place not in found]
        made = value_fingerprints([arrays[n] for n in rest], threads=threads)
        every = found | dict(zip(rest, made, strict=True))
        return [every[place] for place in range(len(arrays))]

    def _recall(self, size: int, arrays: dict[int, Array]) -> dict[int, ValueFingerprint]:
        """The fingerprints of the finite values of one size; none when one was not recorded.

        Zeros have no sketch to speak of, and are left out, too.
        """
        sketches = value_sketches(list(arrays.values()))
        usable = np.flatnonzero(np.isfinite(sketches).all(axis=1) & sketches.any(axis=1))
        twins = _twins(sketches[usable], self._known_of(size))
        if len(twins) < len(usable):
            return {}
        places = list(arrays)
        found = {}
        for row, twin in zip(usable.tolist(), twins, strict=True):
            place = places[row]
            shape, sketch = arrays[place].shape, sketches[row].tobytes()
            found[place] = ValueFingerprint(shape, "f", twin.quantiles, sketch)
        return found

    def _known_of(self, size: int) -> _Known:
        if size not in self._known:
            prints = list(self._prints[size].values())
            sketches = np.frombuffer(b"".join([p.sketch for p in prints]), "<f4")
            sketches = sketches.reshape(-1, PROJECTIONS)
            order = np.argsort(sketches[:, 0])
            self._known[size] = _Known([prints[n] for n in order], sketches[order])
        return self._known[size]


def _twins(sketches: Sketch, known: _Known) -> list[ValueFingerprint]:
    """The recorded value of each sketch; none when one of them has no or several ones."""
    reach = np.abs(sketches).max(axis=1, initial=0) * np.float32(_SAME)
    firsts = known.sketches[:, 0]
    low = np.searchsorted(firsts, sketches[:, 0] - reach)
    high = np.searchsorted(firsts, sketches[:, 0] + reach, "right")
    width = int((high - low).max(initial=0))
    if not width or width > _MOST_ALIKE:
        return []
    places = low[:, None] + np.arange(width)
    there = np.minimum(places, len(firsts) - 1)
    apart = np.abs(known.sketches[there] - sketches[:, None]).max(axis=2)
    near = (apart <= reach[:, None]) & (places < high[:, None])
    if not near.any(axis=1).all():
        return []
    rows, columns = np.nonzero(near)
    found: dict[int, ValueFingerprint] = {}
    for row, place in zip(rows.tolist(), there[rows, columns].tolist(), strict=True):
        twin = known.prints[place]
        if found.setdefault(row, twin).quantiles != twin.quantiles:
            return []
    return list(found.values())
