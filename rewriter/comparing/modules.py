"""Which modules gained, lost or changed operators from one file to another."""

from collections import Counter
from dataclasses import dataclass, field

from hierarchy.graphs import op_type
from rewriter.comparing.results import FileFacts, ModuleChange, Status
from rewriter.comparing.sides import Side
from rewriter.comparing.units import Units


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


def module_changes(sides: tuple[Side, Side], units: Units) -> list[ModuleChange]:
    """A row for each module of which either file has something, those of the first in its order."""
    left, right = (_holdings(side, number, units) for number, side in enumerate(sides))
    rows: list[ModuleChange] = []
    for key in [*left, *(key for key in right if key not in left)]:
        a, b = left.get(key, _Holding()), right.get(key, _Holding())
        if a.there or b.there:
            rows.append(_row(units.tag(key), a, b))
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


def _holdings(side: Side, number: int, units: Units) -> dict[str, _Holding]:
    found: dict[str, _Holding] = {}
    for module in side.tree:
        holding = found.setdefault(units.key(number, module.path), _Holding(known=True))
        holding.class_name = holding.class_name or module.class_name
        if module.alias_of is None:
            holding.parameters += sum(p.size for p in module.parameters if p.tied_to is None)
    for weight in side.weights:
        if weight.module is not None:
            holding = found.setdefault(units.key(number, weight.module), _Holding(known=True))
            holding.bytes += weight.bytes or 0
    for index, (node, claim) in enumerate(zip(side.flow.nodes, side.claims, strict=True)):
        if claim is None:
            continue
        key = units.key(number, claim.module)
        found.setdefault(key, _Holding(known=True)).ops[op_type(node)] += 1
        if not side.flow.passive(index):
            for other in {units.key(number, path) for path in claim.covers} - {key}:
                found.setdefault(other, _Holding(known=True)).covered[op_type(node)] += 1
    return found


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
