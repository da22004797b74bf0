"""Which modules gained, lost or changed operators from one file to another."""

from collections import Counter
from dataclasses import dataclass, field

from modelexport.hierarchy.graph_paths import op_type
from modelexport.rewriter.comparison.compared_file import Side
from modelexport.rewriter.comparison.module_alignment import Units
from modelexport.rewriter.comparison.results import FileFacts, ModuleChange, Status
from modelexport.rewriter.comparison.shown_modules import Shown


@dataclass
class _Holding:
    """What one file has of one module.

    Attributes:
        ops: Operators of its own nodes.
        covered: Operators of other modules' nodes that do some of its work.
        parameters, bytes: Of its own.
        known: Whether the file's module tree has it.
        class_name: As that says.
    """

    ops: Counter[str] = field(default_factory=Counter)
    covered: Counter[str] = field(default_factory=Counter)
    parameters: int = 0
    bytes: int = 0
    known: bool = False
    class_name: str = ""

    @property
    def there(self) -> bool:
        return bool(self.ops or self.covered or self.parameters or self.bytes)

    def like(self, other: "_Holding") -> bool:
        mine = (self.ops, self.covered, self.parameters, self.bytes)
        return mine == (other.ops, other.covered, other.parameters, other.bytes)


def module_changes(sides: tuple[Side, Side], units: Units) -> dict[str, ModuleChange]:
    """By key, each module of which either file has something, those of the first in its order."""
    return _changes(sides, units, Shown())


def shown_changes(
    sides: tuple[Side, Side], units: Units, every: dict[str, ModuleChange], shown: Shown
) -> list[ModuleChange]:
    """The rows that are shown; where one stands for several, a difference of any is its own."""
    differing = {shown.row(key) for key, row in every.items() if row.status is not Status.SAME}
    found = _changes(sides, units, shown)
    for key, row in found.items():
        if row.status is Status.SAME and key in differing:
            row.status = Status.CHANGED
    return list(found.values())


def _changes(sides: tuple[Side, Side], units: Units, shown: Shown) -> dict[str, ModuleChange]:
    left, right = (_Holdings(side, n, units, shown).by_key for n, side in enumerate(sides))
    rows: dict[str, ModuleChange] = {}
    for key in [*left, *(key for key in right if key not in left)]:
        a, b = left.get(key, _Holding()), right.get(key, _Holding())
        if a.there or b.there:
            rows[key] = _row(units.tag(key), a, b)
    return rows


def _row(tag: str, a: _Holding, b: _Holding) -> ModuleChange:
    return ModuleChange(
        tag=tag,
        class_name=a.class_name or b.class_name,
        status=_status(a, b),
        nodes_a=a.ops.total(),
        nodes_b=b.ops.total(),
        gained=counts(b.ops - a.ops),
        lost=counts(a.ops - b.ops),
        covered_a=counts(a.covered),
        covered_b=counts(b.covered),
        parameters_a=a.parameters,
        parameters_b=b.parameters,
        bytes_a=a.bytes,
        bytes_b=b.bytes,
    )


def _status(a: _Holding, b: _Holding) -> Status:
    if a.like(b):
        return Status.SAME
    if not b.known:
        return Status.ONLY_A
    if not a.known:
        return Status.ONLY_B
    if a.ops and not b.ops:
        return Status.ABSORBED if b.covered else Status.EMPTIED
    return Status.CHANGED


class _Holdings:
    """What one file has of each module that is shown."""

    def __init__(self, side: Side, number: int, units: Units, shown: Shown) -> None:
        self._side, self._number, self._units, self._shown = side, number, units, shown
        self.by_key: dict[str, _Holding] = {}
        self._count_modules()
        for weight in side.weights:
            if weight.module is not None:
                self._at(self._row(weight.module)).bytes += weight.bytes or 0
        self._count_nodes()

    def _row(self, path: str) -> str | None:
        return self._shown.row(self._units.key(self._number, path))

    def _at(self, key: str | None) -> _Holding:
        if key is None:
            return _Holding()  # of what is not shown
        return self.by_key.setdefault(key, _Holding(known=True))

    def _count_modules(self) -> None:
        for module in self._side.tree:
            key = self._row(module.path)
            holding = self._at(key)
            if key == self._units.key(self._number, module.path):
                holding.class_name = holding.class_name or module.class_name
            if module.alias_of is None:
                holding.parameters += sum(p.size for p in module.parameters if p.tied_to is None)

    def _count_nodes(self) -> None:
        graph = self._side.graph
        for index, (node, claim) in enumerate(zip(graph.nodes, self._side.claims, strict=True)):
            if claim is None:
                continue
            key = self._row(claim.module)
            self._at(key).ops[op_type(node)] += 1
            if not graph.is_auxiliary(index):
                for other in {self._row(path) for path in claim.covers} - {key}:
                    self._at(other).covered[op_type(node)] += 1


def operators(side: Side, number: int, units: Units, shown: Shown) -> Counter[str]:
    """How often each operator stands in the modules that are shown, or anywhere."""
    if shown.everything:
        return side.operators()
    pairs = zip(side.graph.nodes, side.claims, strict=True)
    return Counter(
        op_type(node)
        for node, claim in pairs
        if claim is not None and shown.within(units.key(number, claim.module))
    )


def facts(side: Side) -> FileFacts:
    """A file as a whole."""
    operators, untagged = side.operators(), side.untagged()
    return FileFacts(
        file=side.path.name,
        source=side.hierarchy.scheme,
        nodes=operators.total(),
        tagged=operators.total() - untagged.total(),
        op_types=counts(operators),
        untagged=counts(untagged),
        parameters=sum(
            p.size
            for module in side.tree
            if module.alias_of is None
            for p in module.parameters
            if p.tied_to is None
        ),
        bytes=sum(weight.bytes or 0 for weight in side.weights),
    )


def counts(counter: Counter[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(counter.most_common())
