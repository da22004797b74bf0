"""Which calls become functions."""

from collections import Counter
from dataclasses import dataclass

from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.choices import FoldMode
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter.folding.cycles import acyclic
from modelexport.rewriter.folding.fold_graph import Bench, Call, Item
from modelexport.rewriter.folding.hoisting import instances
from modelexport.rewriter.folding.prototypes import Structure, difference, structure

ClassName = tuple[str, str]
"""Python module and name of a class."""


@dataclass(frozen=True)
class Choice:
    """What is to be folded.

    Attributes:
        calls: The calls.
        single: Calls whose structure nobody shares, though others of their class are folded;
            each with what is different.
        refused: Calls of these classes that cannot be folded, each with the reason.
    """

    calls: set[Call]
    single: dict[Call, str]
    refused: dict[Call, str]


class Choosing:
    """Chooses calls.

    Args:
        bench: The graph, with chains.
        rules: What to choose.
        class_of: The class of a module path.
    """

    def __init__(self, bench: Bench, rules: FoldRules, class_of: dict[str, ClassName]) -> None:
        self._bench = bench
        self._rules = rules
        self._class_of = class_of
        deepest = max((len(item.chain) for item in bench.items), default=0)
        self._levels = [self._big(depth) for depth in range(deepest)]

    def choose(self) -> Choice:
        """The calls to fold."""
        every = {call for level in self._levels for call in level}
        if self._rules.patterns:
            wants = self._rules.matches
            return Choice({c for c in every if wants(c.path, self._class_of[c.path][1])}, {}, {})
        if self._rules.functions == (FoldMode.ALL,):
            return Choice(every, {}, {})
        return self._repeated()

    def _big(self, depth: int) -> dict[Call, list[Item]]:
        calls = instances(self._bench, depth)
        return {call: items for call, items in calls.items() if len(items) >= self._rules.min_nodes}

    def _repeated(self) -> Choice:
        """Calls that occur more than once with one structure, the outermost or all of them."""
        found: list[dict[Call, Structure]] = []
        refused: dict[Call, str] = {}
        for level in self._levels:
            good, bad = acyclic(self._bench, level)
            refused |= bad
            found.append({call: structure(self._bench, items) for call, items in good.items()})
        counts = Counter(self._key(call, s) for each in found for call, s in each.items())
        covered: set[int] = set()
        first: dict[ClassName, Structure] = {}
        calls: set[Call] = set()
        odd: dict[Call, Structure] = {}
        for structures in found:
            for call, its in structures.items():
                if id(its.items[0]) in covered:
                    continue
                if counts[self._key(call, its)] == 1:
                    odd[call] = its
                    continue
                calls.add(call)
                first.setdefault(self._class_of[call.path], its)
                if self._rules.functions == (FoldMode.REPEATED,):
                    covered.update(map(id, its.items))
        items = {call: its[0] for level in self._levels for call, its in level.items()}
        return Choice(
            calls,
            {c: self._odd(c, s, first) for c, s in odd.items() if self._is_odd(c, first)},
            {
                call: why
                for call, why in refused.items()
                if self._is_odd(call, first) and id(items[call]) not in covered
            },
        )

    def _key(self, call: Call, found: Structure) -> tuple[ClassName, object]:
        return self._class_of[call.path], found.key

    def _is_odd(self, call: Call, first: dict[ClassName, Structure]) -> bool:
        return self._class_of[call.path] in first

    def _odd(self, call: Call, found: Structure, first: dict[ClassName, Structure]) -> str:
        where = [within(item, call.path) for item in found.items]
        return difference(found, first[self._class_of[call.path]], where)


def within(item: Item, path: str) -> str:
    """The path of an item's module within another module; "" when it is not inside."""
    if not item.module or not is_within(item.module, path):
        return ""
    return item.module[len(path) + 1 :]
