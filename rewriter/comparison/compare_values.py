"""What two files compute on the same inputs, and where they part."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Record
from modelexport.rewriter.comparison.boundaries import Boundaries, boundaries
from modelexport.rewriter.comparison.compared_file import Side
from modelexport.rewriter.comparison.differences import figures
from modelexport.rewriter.comparison.file_runner import Running, Seen, chunks, generated
from modelexport.rewriter.comparison.module_alignment import Units
from modelexport.rewriter.comparison.results import Deviation, NumericComparison, Unaligned
from modelexport.rewriter.comparison.shown_modules import Shown
from modelexport.rewriter.comparison.value_pairing import NEAR, Pair, Pairing, output_names
from modelexport.rewriter.matching import read_inputs

Given = list[tuple[str, Array]]

_AGREES = 0.1
"""What is computed from a value says that both are not the same one, if it is nearer than this."""

_STRAY = "differs from {}, but what is computed from it agrees: not the same value"


class Numeric(msgspec.Struct, frozen=True):
    """How two files are run side by side.

    Attributes:
        probe: An .npz with inputs by name; without it those of the record, else generated ones.
        tolerance: Relative distance from which on a value diverges.
        libraries: Custom operator libraries that the runtime loads first.
    """

    probe: Path | None = None
    tolerance: float = 1e-4
    libraries: tuple[Path, ...] = ()


def compare_values(
    sides: tuple[Side, Side], units: Units, how: Numeric, record: Record | None, shown: Shown
) -> NumericComparison:
    """Run both files and compare what leaves their modules.

    All of them are compared, whichever are shown: the innermost values tell which of the others
    are the same, and where divergence begins.

    Raises:
        RuntimeFailedError: onnxruntime does not load or run one of them.
        UsageError: The inputs do not fit.
    """
    libraries = [str(path) for path in how.libraries]
    bounds = boundaries(sides[0], 0, units), boundaries(sides[1], 1, units)
    names = [_names(side, bound) for side, bound in zip(sides, bounds, strict=True)]
    runs = Running(sides[0], names[0], libraries), Running(sides[1], names[1], libraries)
    given, inputs = _inputs(sides[0], how, record, libraries)
    runs[1].feed(list(runs[0].feed(given).items()))
    seen = runs[0].seen(names[0]), runs[1].seen(names[1])
    outputs = output_names(sides[0].model), output_names(sides[1].model)
    pairing = Pairing(bounds, seen, outputs)
    pairs = pairing.run()
    values = _measured(runs, seen, pairs, units, how.tolerance)
    judging = _Judging(sides[0], pairs, values)
    strays = judging.strays()
    kept = [index for index in range(len(pairs)) if index not in strays]
    judging.leave_out({*strays, *(index for index in kept if shown.hides(pairs[index].keys))})
    judging.mark_beginnings()
    rows = (shown.row(pairs[index].key) for index in kept if values[index].diverges)
    first = next((row for row in rows if row is not None), None)
    left = [
        (0, pairs[index].a, pairs[index].keys, _STRAY.format(values[index].b))
        for index in sorted(strays)
    ]
    left += [
        (side, value, value.keys, reason)
        for side in (0, 1)
        for value, reason in pairing.left_over(side)
    ]
    return NumericComparison(
        inputs=inputs,
        tolerance=how.tolerance,
        values=[
            msgspec.structs.replace(values[index], tag=units.tag(key))
            for index in kept
            if (key := shown.border(pairs[index].keys)) is not None
        ],
        first=None if first is None else units.tag(first),
        unaligned=[
            Unaligned(units.tag(key), "ab"[side], value.name, value.op, reason)
            for side, value, keys, reason in left
            if (key := shown.border(keys)) is not None
        ],
        same=first is None,
    )


def _names(side: Side, bound: Boundaries) -> list[str]:
    return list(dict.fromkeys([*(v.name for v in bound.values), *output_names(side.model)]))


def _inputs(
    side: Side, how: Numeric, record: Record | None, libraries: list[str]
) -> tuple[Given, str]:
    if how.probe is not None:
        return list(read_inputs(how.probe)), how.probe.name
    if record is not None and record.probe.inputs:
        return [(entry.name, entry.to_array()) for entry in record.probe.inputs], "the record's"
    return generated(side, libraries), "generated"


def _measured(
    runs: tuple[Running, Running],
    seen: tuple[dict[str, Seen], dict[str, Seen]],
    pairs: list[Pair],
    units: Units,
    tolerance: float,
) -> list[Deviation]:
    found: list[Deviation] = []
    for part in chunks([seen[0][pair.a_name].bytes for pair in pairs]):
        some = pairs[part.start : part.stop]
        left = runs[0].values([pair.a_name for pair in some])
        right = runs[1].values([pair.b_name for pair in some])
        for pair in some:
            errors = figures(left[pair.a_name], right[pair.b_name])
            found.append(
                Deviation(
                    tag=units.tag(pair.key),
                    a=pair.a_name,
                    b=pair.b_name,
                    a_op=pair.a.op,
                    b_op=pair.b.op,
                    shape=seen[0][pair.a_name].shape,
                    paired_by=pair.how,
                    **errors._asdict(),
                    diverges=errors.diverges(tolerance),
                )
            )
    return found


class _Judging:
    """Tells where divergence begins, and which pairs are no pairs.

    A pair that is far apart while all that is computed from it agrees is not one value: something
    was moved across the module's border.
    """

    def __init__(self, side: Side, pairs: list[Pair], values: list[Deviation]) -> None:
        self._graph = side.graph
        self._pairs = pairs
        self._values = values
        self._at: dict[int, list[int]] = {}
        for index, pair in enumerate(pairs):
            self._at.setdefault(pair.a.number, []).append(index)

    def strays(self) -> set[int]:
        """The pairs that are none."""
        return {index for index in range(len(self._values)) if self._is_stray(index)}

    def leave_out(self, indices: set[int]) -> None:
        """See through some pairs from now on."""
        for index in indices:
            self._at[self._pairs[index].a.number].remove(index)

    def mark_beginnings(self) -> None:
        """Of the pairs that diverge, tell which are computed from none that does."""
        for index in (index for at in self._at.values() for index in at):
            if self._values[index].diverges:
                before = self._nearest(index, lambda number: self._graph.predecessors[number])
                self._values[index].begins = not any(
                    self._values[other].diverges for other in before
                )

    def _is_stray(self, index: int) -> bool:
        value = self._values[index]
        if not value.diverges or value.paired_by == "output":
            return False
        after = [
            self._values[other]
            for other in self._nearest(index, lambda number: self._graph.successors[number])
        ]
        if not after:
            return False
        far = value.relative is None or value.relative > NEAR or bool(value.unlike)
        return all(not v.diverges for v in after) or (
            far and all(v.relative is not None and v.relative < _AGREES for v in after)
        )

    def _nearest(self, index: int, step: Callable[[int], list[int]]) -> Iterator[int]:
        """The pairs that are met first from one on, upwards or downwards."""
        start = self._pairs[index].a.number
        waiting, met = deque(step(start)), {start}
        while waiting:
            number = waiting.popleft()
            if number in met:
                continue
            met.add(number)
            if self._at.get(number):
                yield from self._at[number]
            else:
                waiting.extend(step(number))
