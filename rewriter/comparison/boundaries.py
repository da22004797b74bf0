"""The values that leave each module: made by its nodes, used outside it or given back.

What only recasts numbers is looked through: a value is what it was before it was rounded to
integers, cast or handed on, and its users are those of what became of it. So a quantised file's
values are found where the other file has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modelexport.hierarchy.graph_paths import MAIN, op_type
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter.comparison.compared_file import Side
from modelexport.rewriter.comparison.module_alignment import Units
from modelexport.rewriter.graph.indexed_graph import NONE

_RECASTING = frozenset(
    {"Identity", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
)
"""Operators whose first output is their first input in another type."""


@dataclass(frozen=True)
class Leaving:
    """A value that leaves modules.

    Attributes:
        name: The value.
        number: The node that makes it.
        op: Its operator.
        keys: The modules that it leaves, the innermost first; see `ModuleAlignment`.
        output: The output of the graph that it becomes, if any.
        fixed: Whether it depends on no input, only on weights and shapes.
    """

    name: str
    number: int
    op: str
    keys: tuple[str, ...]
    output: str | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Boundaries:
    """What leaves the modules of one file.

    Attributes:
        values: In the order in which they are computed.
        keys: Every module that has nodes, with its depth.
        blurred: Modules that have no border of their own, with the operators of the nodes around
            them that do some of their work.
    """

    values: list[Leaving]
    keys: dict[str, int]
    blurred: dict[str, list[str]]


def boundaries(side: Side, number: int, units: Units) -> Boundaries:
    """Find what leaves the modules of the first (0) or second (1) file."""
    return _Finding(side, number, units).found()


class _Finding:
    def __init__(self, side: Side, number: int, units: Units) -> None:
        self._side, self._graph = side, side.graph
        self._paths = [
            None if claim is None else units.resolve(number, claim.module) for claim in side.claims
        ]
        self._units, self._number = units, number
        self._covers = [
            () if claim is None else tuple(units.resolve(number, path) for path in claim.covers)
            for claim in side.claims
        ]
        self._users = self._find_users()
        self._outputs = {value.name for value in side.model.graph.output}

    def _key(self, path: str) -> str:
        return self._units.key(self._number, path)

    def found(self) -> Boundaries:
        keys = {
            self._key(above): above.count(".") + bool(above)
            for path in self._paths
            if path is not None
            for above in _upwards(path)
        }
        return Boundaries(list(self._values()), keys, self._blurred())

    def _find_users(self) -> dict[str, list[int]]:
        """The nodes that read each value of the main graph, those in subgraphs included."""
        users: dict[str, list[int]] = {}
        indexed = self._graph.indexed
        for number, node in enumerate(self._graph.nodes):
            values = dict(zip(node.input, indexed.inputs[number], strict=False))
            for name, value in values.items():
                producer = NONE if value == NONE else indexed.producer[value]
                if producer != NONE and indexed.graph_paths[producer] == MAIN:
                    users.setdefault(name, []).append(number)
        return users

    def _values(self) -> Iterator[Leaving]:
        for number, (key, node) in enumerate(zip(self._graph.keys, self._graph.nodes, strict=True)):
            path = self._paths[number]
            skipped = key.graph != MAIN or node.op_type in _RECASTING or node.op_type == "Constant"
            if path is None or skipped:
                continue
            for name in filter(None, node.output):
                users, output = self._reached(name)
                left = tuple(self._left(path, users, given=output is not None))
                if left:
                    fixed = self._graph.derived[number]
                    yield Leaving(name, number, op_type(node), left, output, fixed)

    def _reached(self, name: str) -> tuple[list[int], str | None]:
        """The nodes that use a value in whatever type, and the output that it becomes."""
        users: list[int] = []
        output: str | None = None
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each in self._outputs:
                output = output or each
            for user in self._users.get(each, ()):
                node = self._graph.nodes[user]
                recast = node.op_type in _RECASTING and self._graph.keys[user].graph == MAIN
                if recast and node.input[0] == each:
                    waiting.append(node.output[0])
                else:
                    users.append(user)
        return users, output

    def _left(self, path: str, users: list[int], *, given: bool) -> Iterator[str]:
        for above in _upwards(path):
            paths = (self._paths[user] for user in users)
            if not given and all(p is not None and is_within(p, above) for p in paths):
                return
            yield self._key(above)

    def _blurred(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for number, covers in enumerate(self._covers):
            path = self._paths[number]
            if path is None or self._graph.is_auxiliary(number):
                continue
            for covered in covers:
                for above in _upwards(covered):
                    if is_within(above, path) and above != path:
                        kinds = found.setdefault(self._key(above), [])
                        if (kind := op_type(self._graph.nodes[number])) not in kinds:
                            kinds.append(kind)
        return found


def _upwards(path: str) -> list[str]:
    """A path and those above it, the root last."""
    found = [path]
    while path:
        path = path.rpartition(".")[0]
        found.append(path)
    return found
