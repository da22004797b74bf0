"""Which value of one file is which value of the other, module by module.

1. What the graphs return is paired first, by name or by its position among the outputs.
2. Then each module is looked at, the innermost first. The values that leave it in both files are
   paired by name, else by shape if only one value of that shape leaves it, else by distance.
3. A value that finds no partner is tried again in the module around.

Where fused nodes around a module do some of its work, the module has no boundary of its own in
that file: there only names count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from modelexport.rewriter.comparison.boundaries import Boundaries, BoundaryValue
from modelexport.rewriter.comparison.thresholds import SAME_VALUE_DISTANCE
from modelexport.rewriter.comparison.value_summary import ValueSummary

PairedBy = Literal["output", "name", "shape", "nearest"]


@dataclass(frozen=True)
class Pair:
    """One value in both files.

    Attributes:
        key: Key of the innermost module that it leaves in both.
        a, b: The value in each file.
        a_name, b_name: What is compared: the output that the value becomes, or the value itself.
        paired_by: How the two were found to be the same.
    """

    key: str
    a: BoundaryValue
    b: BoundaryValue
    a_name: str
    b_name: str
    paired_by: PairedBy

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the modules that it leaves in both, from that in which it was paired outwards."""
        shared = [key for key in self.a.keys if key in self.b.keys]
        return tuple(shared[shared.index(self.key) :]) if shared else (self.key,)


@dataclass(frozen=True)
class ComparedValues:
    """The values of one file that can be compared.

    Attributes:
        boundaries: The values that leave its modules.
        summaries: A summary of each value by its name.
        outputs: The outputs of its graph, in order.
    """

    boundaries: Boundaries
    summaries: Mapping[str, ValueSummary]
    outputs: Sequence[str]

    def candidates(self) -> dict[str, BoundaryValue]:
        """The values to pair, by name: real ones, and others that depend on an input."""
        return {
            value.name: value
            for value in self.boundaries.values
            if (summary := self.summaries.get(value.name)) is not None
            and (summary.is_real or not value.fixed)
        }


class ValuePairing:
    """Pairs the values of two files.

    Args:
        first: The values of the first file.
        second: The values of the second.
    """

    def __init__(self, first: ComparedValues, second: ComparedValues) -> None:
        self._files = first, second
        self._unpaired = first.candidates(), second.candidates()
        self._pairs: list[Pair] = []
        self._pair_outputs()
        depths = first.boundaries.depths
        shared = [key for key in depths if key in second.boundaries.depths]
        for key in sorted(shared, key=lambda key: -depths[key]):
            self._pair_module(key)
        self._pairs.sort(key=lambda pair: pair.a.node)

    @property
    def pairs(self) -> list[Pair]:
        """The pairs, in the order in which the first file computes them."""
        return self._pairs

    def unpaired(self, index: int) -> Iterator[tuple[BoundaryValue, str]]:
        """Values of one file without a partner, each with the reason.

        Args:
            index: 0 for the first file, 1 for the second.
        """
        own, other = self._files[index].boundaries, self._files[1 - index].boundaries
        for value in self._unpaired[index].values():
            if value.fixed:
                continue  # the other file has it folded into a constant: no input changes it
            key = value.keys[0]
            if operators := other.shared_work.get(key):
                reason = f"in the other file {', '.join(operators)} does some of its work"
            elif operators := own.shared_work.get(key):
                reason = f"{', '.join(operators)} does some of the module's work"
            elif key not in other.depths:
                reason = "the other file has no nodes of this module"
            else:
                reason = "no value of this shape that leaves the module is left in the other file"
            yield value, reason

    def _pair_outputs(self) -> None:
        left, right = (
            {value.output: value for value in file.boundaries.values if value.output}
            for file in self._files
        )
        for a_name, b_name in self._same_outputs():
            a, b = left.get(a_name), right.get(b_name)
            if a is None or b is None or not self._same_size(a_name, b_name):
                continue
            key = next((key for key in a.keys if key in b.keys), "")
            self._add(Pair(key, a, b, a_name, b_name, "output"))

    def _same_outputs(self) -> Iterator[tuple[str, str]]:
        """Names of outputs that are the same: by name, and by position if as many are left."""
        left, right = (file.outputs for file in self._files)
        shared = {name for name in left if name in right}
        yield from ((name, name) for name in left if name in shared)
        left_rest, right_rest = ([n for n in names if n not in shared] for names in (left, right))
        if len(left_rest) == len(right_rest):
            yield from zip(left_rest, right_rest, strict=True)

    def _same_size(self, a_name: str, b_name: str) -> bool:
        a = self._files[0].summaries.get(a_name)
        b = self._files[1].summaries.get(b_name)
        return a is not None and b is not None and a.size == b.size

    def _pair_module(self, key: str) -> None:
        left, right = (self._leaving(index, key) for index in (0, 1))
        for a in left:
            b = self._unpaired[1].get(a.name)
            if b is not None and key in b.keys and self._same_by_name(a, b, left, right):
                self._add(Pair(key, a, b, a.name, b.name, "name"))
        if any(key in file.boundaries.shared_work for file in self._files):
            return
        self._pair_alike(key, "shape")
        self._pair_alike(key, "size")

    def _leaving(self, index: int, key: str) -> list[BoundaryValue]:
        """Unpaired values of one file that leave a module."""
        return [value for value in self._unpaired[index].values() if key in value.keys]

    def _same_by_name(
        self,
        a: BoundaryValue,
        b: BoundaryValue,
        left: Sequence[BoundaryValue],
        right: Sequence[BoundaryValue],
    ) -> bool:
        """Whether two values of one name are the same.

        Names such as `add_7` are numbered anew in every file. So the name alone counts only if
        no other value of this size leaves the module; else the values must be near, too.
        """
        one, other = self._summary(0, a), self._summary(1, b)
        if one.size != other.size:
            return False
        alike = [value for value in left if self._summary(0, value).size == one.size]
        alike += [value for value in right if self._summary(1, value).size == one.size]
        return len(alike) == 2 or one.distance(other) < SAME_VALUE_DISTANCE

    def _pair_alike(self, key: str, attribute: Literal["shape", "size"]) -> None:
        """Pair the values that leave a module and have one shape, or one size."""
        groups: dict[object, tuple[list[BoundaryValue], list[BoundaryValue]]] = {}
        for index in (0, 1):
            for value in self._leaving(index, key):
                extent = getattr(self._summary(index, value), attribute)
                groups.setdefault(extent, ([], []))[index].append(value)
        for left, right in groups.values():
            if len(left) == len(right) == 1:
                self._add(Pair(key, left[0], right[0], left[0].name, right[0].name, "shape"))
            elif left and right:
                self._pair_nearest(key, left, right)

    def _pair_nearest(
        self, key: str, left: list[BoundaryValue], right: list[BoundaryValue]
    ) -> None:
        distances = sorted(
            (self._summary(0, a).distance(self._summary(1, b)), i, j)
            for i, a in enumerate(left)
            for j, b in enumerate(right)
        )
        used: tuple[set[int], set[int]] = (set(), set())
        for distance, i, j in distances:
            if i not in used[0] and j not in used[1] and distance < SAME_VALUE_DISTANCE:
                used[0].add(i)
                used[1].add(j)
                a, b = left[i], right[j]
                self._add(Pair(key, a, b, a.name, b.name, "nearest"))

    def _summary(self, index: int, value: BoundaryValue) -> ValueSummary:
        return self._files[index].summaries[value.name]

    def _add(self, pair: Pair) -> None:
        self._pairs.append(pair)
        self._unpaired[0].pop(pair.a.name, None)
        self._unpaired[1].pop(pair.b.name, None)
