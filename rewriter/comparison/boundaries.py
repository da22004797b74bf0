"""The values that leave each module: computed inside it, and read outside it or returned.

Operators that only recast numbers do not count. A value stands for all its recast forms (rounded to
integers, cast, passed on), and its consumers are the consumers of these forms. So the values of a
quantised file are found at the places where the other file has them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modelexport.hierarchy.graph_paths import MAIN, op_type
from modelexport.hierarchy.module_tree import ancestors, is_within
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.fused_nodes import FusedNodes
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.graph.indexed_graph import NONE

RECASTING = frozenset(
    {"Identity", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
)
"""Operators whose first output is their first input in another type."""


@dataclass(frozen=True)
class BoundaryValue:
    """A value that leaves modules.

    Attributes:
        name: Its name.
        node: Number of the node that computes it.
        op: Operator of that node.
        keys: Keys of the modules that it leaves, the innermost first; see `ModuleAlignment`.
        output: The output of the graph that it becomes; None when it becomes none.
        fixed: Whether it depends on no input, only on weights and shapes.
    """

    name: str
    node: int
    op: str
    keys: tuple[str, ...]
    output: str | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Boundaries:
    """The values that leave the modules of one file.

    Attributes:
        values: The values, in the order in which they are computed.
        depths: Depth of each module that has nodes, by its key; 0 for the root.
        shared_work: Modules without a boundary of their own, by their keys: fused nodes of the
            modules around them do some of their work. Each has the operators of these nodes.
    """

    values: tuple[BoundaryValue, ...]
    depths: dict[str, int]
    shared_work: dict[str, list[str]]


def find_boundaries(file: ComparedFile, alignment: ModuleAlignment) -> Boundaries:
    """Find the values that leave the modules of a file."""
    finder = _BoundaryFinder(file, alignment)
    return Boundaries(tuple(finder.values()), finder.depths(), finder.shared_work())


class _BoundaryFinder:
    """One run of `find_boundaries`."""

    def __init__(self, file: ComparedFile, alignment: ModuleAlignment) -> None:
        self._file, self._graph, self._alignment = file, file.graph, alignment
        self._modules = [
            None if claim is None else alignment.resolve(file, claim.module)
            for claim in file.claims
        ]
        fused = FusedNodes(file)
        self._sources = [
            None if (path := fused.module(node)) is None else alignment.resolve(file, path)
            for node in range(len(file.claims))
        ]
        self._consumers = self._find_consumers()
        self._outputs = set(file.output_names)

    def _key(self, path: str) -> str:
        return self._alignment.key(self._file, path)

    def depths(self) -> dict[str, int]:
        """Depth of each module that has nodes, and of those around them."""
        return {
            self._key(path): path.count(".") + bool(path)
            for module in (*self._modules, *self._sources)
            if module is not None
            for path in ancestors(module)
        }

    def _find_consumers(self) -> dict[str, list[int]]:
        """The nodes that read each value of the main graph, those in subgraphs included."""
        consumers: dict[str, list[int]] = {}
        indexed = self._graph.indexed
        for number, node in enumerate(self._graph.nodes):
            values = dict(zip(node.input, indexed.inputs[number], strict=False))
            for name, value in values.items():
                producer = NONE if value == NONE else indexed.producer[value]
                if producer != NONE and indexed.graph_paths[producer] == MAIN:
                    consumers.setdefault(name, []).append(number)
        return consumers

    def values(self) -> Iterator[BoundaryValue]:
        """The values that leave a module, in the order in which they are computed."""
        for number, (key, node) in enumerate(zip(self._graph.keys, self._graph.nodes, strict=True)):
            module = self._sources[number]
            skipped = key.graph != MAIN or node.op_type in RECASTING or node.op_type == "Constant"
            if module is None or skipped:
                continue
            for name in filter(None, node.output):
                consumers, output = self._follow(name)
                left = tuple(self._modules_left(module, consumers, returned=output is not None))
                if left:
                    fixed = self._graph.derived[number]
                    yield BoundaryValue(name, number, op_type(node), left, output, fixed)

    def _follow(self, name: str) -> tuple[list[int], str | None]:
        """The nodes that read a value in any type, and the output that it becomes."""
        consumers: list[int] = []
        output: str | None = None
        pending, visited = [name], {name}
        while pending:
            value = pending.pop()
            if value in self._outputs:
                output = output or value
            for consumer in self._consumers.get(value, ()):
                node = self._graph.nodes[consumer]
                recasts = node.op_type in RECASTING and self._graph.keys[consumer].graph == MAIN
                if recasts and list(node.input[:1]) == [value]:
                    pending += [output for output in node.output[:1] if output not in visited]
                    visited.update(node.output)
                else:
                    consumers.append(consumer)
        return consumers, output

    def _modules_left(self, module: str, consumers: list[int], *, returned: bool) -> Iterator[str]:
        """Keys of the modules that a value leaves, the innermost first.

        Args:
            module: The module in which it is computed.
            consumers: The nodes that read it.
            returned: Whether the graph returns it: then it leaves all modules.
        """
        for path in ancestors(module):
            readers = (self._modules[consumer] for consumer in consumers)
            if not returned and all(r is not None and is_within(r, path) for r in readers):
                return
            yield self._key(path)

    def shared_work(self) -> dict[str, list[str]]:
        """The operators outside each module that do some of its work, by the module's key."""
        operators: dict[str, list[str]] = {}
        for number, claim in enumerate(self._file.claims):
            module = self._modules[number]
            if claim is None or module is None or self._graph.is_auxiliary(number):
                continue
            for covered in claim.covers:
                for path in ancestors(self._alignment.resolve(self._file, covered)):
                    if is_within(path, module) and path != module:
                        at_key = operators.setdefault(self._key(path), [])
                        if (operator := op_type(self._graph.nodes[number])) not in at_key:
                            at_key.append(operator)
        return operators
