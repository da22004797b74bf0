"""Recognising the nodes of a file that is not the traced one: all kinds of evidence together.

Names, weights and values plant what they are sure of; the alignment grows from there; nodes
that no recorded op equals get what their neighbours enclose.
"""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.graph_view import ContractedGraph, GraphView
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.aligner import Alignment
from modelexport.rewriter.matching.alignment.enclosure import Enclosure
from modelexport.rewriter.matching.alignment.seeds import Planting
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.identity import UNKNOWN_SCOPE
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses, match_classes
from modelexport.rewriter.matching.evidence.values import ValueMatch
from modelexport.rewriter.matching.evidence.weights import WeightMatch

if TYPE_CHECKING:
    from modelexport.rewriter.matching.alignment.spans import Span

_MOST_ALTERNATIVES = 16
"""More alternatives than that say nothing about a node."""


@dataclass
class Settlement:
    """Settles the nodes of one file.

    Attributes:
        flow, record: What is matched.
        here, there: Their wirings.
        values: What is known of the values of both.
        weights: What is known of the weights of both.
    """

    graph: ModelGraph
    record: Record
    here: IndexedGraph
    there: IndexedGraph
    values: ValueMatch | None = None
    weights: WeightMatch = field(default_factory=WeightMatch)

    def __post_init__(self) -> None:
        """See the graphs without what only passes values on."""
        values = self.values
        file_passed: Mapping[int, int] = {}
        record_passed: Mapping[int, int] = {}
        if values is not None and values.rejects_mismatch:
            # not in a quantised file: rounding may leave nothing of one of two added values
            file_passed, record_passed = values.file.passed_values, values.record.passed_values
        self._ours = ContractedGraph(self.here, file_passed)
        self._theirs = ContractedGraph(self.there, record_passed)
        self.alignment = Alignment(
            self._ours, self._theirs, values, self.weights.candidates, self._matched_inputs()
        )
        self._regions: dict[int, tuple[int, ...]] = {}
        self._reasons: dict[int, str] = {}
        self._planting = Planting(self.record, self.alignment, self.weights)

    def run(self, named: Mapping[int, int], *, structure: bool = True) -> None:
        """Plant what is sure, grow from it, and enclose what is left.

        Args:
            named: Nodes and recorded ops of equal names.
            structure: Whether the graph's structure may speak.
        """
        self._planting.names(named)
        self._planting.values()
        self._planting.weights()
        self._planting.calls()
        self._planting.calibrate_quantised()
        if not structure:
            return
        self.alignment.grow()
        if self._planting.in_subgraphs():
            self.alignment.grow()
        while self._planting.between():
            self.alignment.grow()
        self._grow_raw()
        image, no_part = self.alignment.image, self._planting.takes_no_part
        left = [n for n in range(len(self.here)) if n not in image and not no_part(n)]
        if left:
            self._enclose(left)

    def _enclose(self, nodes: list[int]) -> None:
        """Give nodes that no recorded op equals what their neighbours enclose."""
        spans = {node: self._done_by(node) for node in self.alignment.image}
        enclosure = Enclosure(self.alignment, spans, self.weights.merged_from)
        readers = self._theirs.initializer_consumers
        for node in nodes:
            found = enclosure.of(node)
            if ops := found.ops or self._readers_of_parts(node, readers):
                self._regions[node] = ops
            else:
                self._reasons[node] = found.reason

    def origins(self, node: int) -> tuple[int, ...]:
        """The recorded ops whose work a node does, as far as it is known."""
        if node in self.alignment.image:
            return self._done_by(node)
        return self._regions.get(node, ())

    def claims(self) -> list[Claims]:
        """What was found, a `Claims` for each kind of evidence."""
        kinds = {
            kind: Claims()
            for kind in (
                EvidenceKind.NAMES,
                EvidenceKind.WEIGHTS,
                EvidenceKind.VALUES,
                EvidenceKind.STRUCTURE,
            )
        }
        tree = self.record.tree
        constants = constant_modules(self.record, self.values)
        for node, key in enumerate(self.graph.keys):
            own = self._by_itself(node, constants)
            if own is not None:
                kinds[EvidenceKind(own.kind)].by_node[key] = own
                continue
            if node in self.alignment.image:
                kind, ops = self.alignment.kinds[node], self._done_by(node)
            elif node in self._regions:
                kind, ops = EvidenceKind.STRUCTURE, self._regions[node]
            elif node in self.alignment.ambiguous:
                kind, ops = EvidenceKind.VALUES, self._alternatives(node)
            else:
                if node in self._reasons:
                    kinds[EvidenceKind.STRUCTURE].reasons[key] = self._reasons[node]
                elif self._ours.pass_through[node]:
                    kinds[EvidenceKind.STRUCTURE].without_module[key] = (
                        "it gives back the numbers that it reads"
                    )
                continue
            unknown = node in self.alignment.image and self.record.ops[ops[0]].module is None
            claim = None if unknown else claim_for([self.record.ops[op] for op in ops], kind, tree)
            if claim is None:
                kinds[kind].without_module[key] = UNKNOWN_SCOPE
            else:
                kinds[kind].by_node[key] = claim
        for node, op in self._planting.overruled.items():
            module = self.record.ops[op].module
            settled = kinds[EvidenceKind.VALUES].by_node.get(self.graph.keys[node])
            if module is not None and (settled is None or settled.module != module):
                kinds[EvidenceKind.VALUES].overruled[self.graph.keys[node]] = (
                    f"names say {module or 'the root'}, but what it computes is something else"
                )
        return list(kinds.values())

    def _by_itself(self, node: int, constants: Mapping[int, str]) -> Claim | None:
        """The module of a node that is recognised without a recorded op.

        It computes a constant that one module computes; or reads a parameter of one of the
        modules whose work it does, or depends on nothing else.
        """
        if node in self.alignment.image or self._ours.pass_through[node]:
            return None
        owners = {self.weights.owners.get(value) for value in self._ours.inputs(node)} - {None}
        owner = owners.pop() if len(owners) == 1 else None
        for value in self.here.output_values(node):
            module = self._computes_constant(value, constants)
            # whole numbers that count up are computed everywhere: a weight tells more
            if module is not None and (owner is None or self._is_real(value)):
                return Claim(module, EvidenceKind.VALUES)
        ops = (self.record.ops[op] for op in self._regions.get(node, ()))
        within = {path for op in ops for path in (op.module, *op.also)}
        if owner is not None and (self.here.derived[node] or owner in within):
            return Claim(owner, EvidenceKind.WEIGHTS)
        return None

    def _computes_constant(self, value: int, constants: Mapping[int, str]) -> str | None:
        values = self.values
        return constants.get(values.file.classes.class_of.get(value, NONE)) if values else None

    def _is_real(self, value: int) -> bool:
        return self.values is not None and self.values.file.fingerprints[value].kind == "f"

    def _matched_inputs(self) -> dict[int, int]:
        """Inputs of the file to the recorded ones: by what they were fed, else by name."""
        theirs = {self.there.value_names[value]: value for value in self.there.external_inputs}
        found = {}
        for value in self.here.external_inputs:
            alike = [
                v for v in theirs.values() if self.values and self.values.values_agree(value, v)
            ]
            named = theirs.get(self.here.value_names[value])
            if len(alike) == 1:
                found[value] = alike[0]
            elif named is not None and (not alike or named in alike):
                found[value] = named
        return found

    def _readers_of_parts(self, node: int, readers: Mapping[int, list[int]]) -> tuple[int, ...]:
        """Recorded ops that read the weights which were merged into a node's."""
        merged = (self.weights.merged_from.get(value, ()) for value in self._ours.inputs(node))
        parts = itertools.chain.from_iterable(merged)
        return tuple(sorted({op for part in parts for op in readers.get(part, ())}))

    def _grow_raw(self) -> None:
        """Settle what passes values on, and constants, edge by edge."""
        image = self.alignment.image
        auxiliary = {n for n in range(len(self.here)) if self._planting.takes_no_part(n)}
        if auxiliary <= image.keys():
            return
        raw = Alignment(
            GraphView(self.here),
            GraphView(self.there),
            self.alignment.values,
            self.weights.candidates,
            self.alignment.inputs,
        )
        for node, op in image.items():
            raw.plant(node, op, self.alignment.kinds[node])
        raw.only = auxiliary
        raw.grow()
        for node, op in raw.image.items():
            if node not in image:
                self.alignment.plant(node, op, EvidenceKind.STRUCTURE)

    def _done_by(self, node: int) -> tuple[int, ...]:
        op = self.alignment.image[node]
        if self._planting.takes_no_part(node):
            return (op,)
        span: Span = self.alignment.span(node, op)
        return span.ops

    def _alternatives(self, node: int) -> tuple[int, ...]:
        best = self.alignment.ambiguous[node]
        return tuple(each.op for each in best[: _MOST_ALTERNATIVES + 1])


def constant_modules(record: Record, values: ValueMatch | None) -> dict[int, str]:
    """Classes of the file's constants that exactly one module computes, and that module."""
    if values is None:
        return {}
    found: dict[int, set[str]] = {}
    recorded = ValueClasses({n: constant.value for n, constant in enumerate(record.constants)})
    candidates = match_classes(values.file.classes, recorded, values.mode.tolerance)
    for number, alike in enumerate(candidates):
        members = values.file.classes.members[number]
        if alike and all(values.file.graph.is_constant(value) for value in members):
            places = (place for each in alike for place in recorded.members[each])
            found[number] = {record.tree.canonical(record.constants[p].module) for p in places}
    return {number: modules.pop() for number, modules in found.items() if len(modules) == 1}


def claim_for(ops: Collection[Op], kind: EvidenceKind, tree: ModuleTree) -> Claim | None:
    """The modules of some recorded ops under their common ancestor; None when none is known."""
    modules: Collection[str] = {
        path for op in ops if op.module is not None for path in (op.module, *op.also)
    }
    if not modules:
        return None
    covers = tuple(sorted(modules))
    if len(covers) == 1:
        calls = {op.call for op in ops if op.module is not None}
        return Claim(covers[0], kind, call=calls.pop() if len(calls) == 1 else None)
    return Claim(tree.common_ancestor(covers), kind, covers)
