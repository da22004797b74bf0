"""Which value of one file is which of the other, module by module.

What the graphs give back is paired first, by name or by its place among the outputs. Then each
module, the innermost first: what leaves it in both files is paired by name, else by its shape
where only one value of that shape leaves it, else by nearness. What finds no partner is tried
again in the module around. A module part of whose work a fused node around it does has no border
in that file: there only names count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from modelexport.rewriter.comparison.boundaries import Boundaries, Leaving
from modelexport.rewriter.comparison.file_runner import Seen

NEAR = 0.5
"""Values further apart than this, over their magnitude, are not taken to be the same unasked."""


@dataclass(frozen=True)
class Pair:
    """One value in both files.

    Attributes:
        key: The innermost module that it leaves in both.
        a, b: The value in each.
        a_name, b_name: What is compared: the output that the value becomes, or itself.
        how: How they were found to be the same.
    """

    key: str
    a: Leaving
    b: Leaving
    a_name: str
    b_name: str
    how: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The modules that it leaves in both, from the innermost in which it was found."""
        shared = [key for key in self.a.keys if key in self.b.keys]
        return tuple(shared[shared.index(self.key) :]) if shared else (self.key,)


class Pairing:
    """Pairs the values of two files.

    Args:
        bounds: What leaves the modules of each.
        seen: What its values are like.
        outputs: The outputs of each graph, in order.
    """

    def __init__(
        self,
        bounds: tuple[Boundaries, Boundaries],
        seen: tuple[Mapping[str, Seen], Mapping[str, Seen]],
        outputs: tuple[list[str], list[str]],
    ) -> None:
        self._bounds, self._seen, self._outputs = bounds, seen, outputs
        self._open = [
            {v.name: v for v in bound.values if v.name in s and (s[v.name].real or not v.fixed)}
            for bound, s in zip(bounds, seen, strict=True)
        ]
        self.pairs: list[Pair] = []

    def run(self) -> list[Pair]:
        """The pairs, in the order in which the first file computes them."""
        self._pair_outputs()
        shared = self._bounds[0].keys.keys() & self._bounds[1].keys.keys()
        depths = self._bounds[0].keys
        order = {key: place for place, key in enumerate(depths)}
        for key in sorted(shared, key=lambda k: (-depths[k], order[k])):
            blurred = any(key in bound.blurred for bound in self._bounds)
            self._pair_module(key, names_only=blurred)
        self.pairs.sort(key=lambda pair: pair.a.number)
        return self.pairs

    def left_over(self, side: int) -> Iterator[tuple[Leaving, str]]:
        """Values of one file without a partner, each with the reason."""
        other = self._bounds[1 - side]
        for value in self._open[side].values():
            if value.fixed:
                continue  # folded away where it was not found: no input changes it
            key = value.keys[0]
            if kinds := other.blurred.get(key):
                yield value, f"in the other file {', '.join(kinds)} does some of its work"
            elif kinds := self._bounds[side].blurred.get(key):
                yield value, f"{', '.join(kinds)} does some of the module's work"
            elif key not in other.keys:
                yield value, "the other file has no nodes of this module"
            else:
                yield value, "nothing of this shape is left over that leaves it in the other file"

    def _pair_outputs(self) -> None:
        made = [{v.output: v for v in bound.values if v.output} for bound in self._bounds]
        left, right = self._outputs
        by_name = [(name, name) for name in left if name in right]
        rest = [[n for n in names if n not in dict(by_name)] for names in self._outputs]
        by_place = list(zip(*rest, strict=True)) if len(rest[0]) == len(rest[1]) else []
        for a_name, b_name in [*by_name, *by_place]:
            a, b = made[0].get(a_name), made[1].get(b_name)
            sizes = [s.get(n) for s, n in zip(self._seen, (a_name, b_name), strict=True)]
            if a is None or b is None or not _same_size(*sizes):
                continue
            key = next((key for key in a.keys if key in b.keys), "")
            self._take(Pair(key, a, b, a_name, b_name, "output"))

    def _pair_module(self, key: str, *, names_only: bool) -> None:
        left, right = ([v for v in every.values() if key in v.keys] for every in self._open)
        for a in left:
            b = self._open[1].get(a.name)
            if b is not None and key in b.keys and self._same_by_name(a, b, left, right):
                self._take(Pair(key, a, b, a.name, b.name, "name"))
        if names_only:
            return
        for same in ("shape", "size"):
            self._pair_alike(key, same)

    def _same_by_name(
        self, a: Leaving, b: Leaving, left: Sequence[Leaving], right: Sequence[Leaving]
    ) -> bool:
        """Whether a name that both have says something: numbers count on in every file anew."""
        one, other = self._seen[0][a.name], self._seen[1][b.name]
        if one.size != other.size:
            return False
        rivals = [v for v in left if self._seen[0][v.name].size == one.size]
        rivals += [v for v in right if self._seen[1][v.name].size == one.size]
        return len(rivals) == 2 or one.distance(other) < NEAR

    def _pair_alike(self, key: str, same: str) -> None:
        groups: dict[object, tuple[list[Leaving], list[Leaving]]] = {}
        for side in (0, 1):
            for value in self._open[side].values():
                if key in value.keys:
                    like = getattr(self._seen[side][value.name], same)
                    groups.setdefault(like, ([], []))[side].append(value)
        for left, right in groups.values():
            if len(left) == len(right) == 1:
                self._take(Pair(key, left[0], right[0], left[0].name, right[0].name, "shape"))
            elif left and right:
                self._pair_nearest(key, left, right)

    def _pair_nearest(self, key: str, left: list[Leaving], right: list[Leaving]) -> None:
        ways = sorted(
            (self._seen[0][a.name].distance(self._seen[1][b.name]), i, j)
            for i, a in enumerate(left)
            for j, b in enumerate(right)
        )
        taken: tuple[set[int], set[int]] = (set(), set())
        for distance, i, j in ways:
            if i not in taken[0] and j not in taken[1] and distance < NEAR:
                taken[0].add(i)
                taken[1].add(j)
                a, b = left[i], right[j]
                self._take(Pair(key, a, b, a.name, b.name, "nearest"))

    def _take(self, pair: Pair) -> None:
        self.pairs.append(pair)
        self._open[0].pop(pair.a.name, None)
        self._open[1].pop(pair.b.name, None)


def _same_size(a: Seen | None, b: Seen | None) -> bool:
    return a is not None and b is not None and a.size == b.size


def output_names(model: onnx.ModelProto) -> list[str]:
    """The outputs of a model in order."""
    return [value.name for value in model.graph.output]
