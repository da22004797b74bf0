"""Recognising the nodes of a file that is not the traced one: all kinds of evidence together.

Names, weights and values plant what they are sure of; the alignment grows from there; nodes
that no recorded op equals get what their neighbours enclose.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hierarchy.fingerprint import ValueFingerprint, value_fingerprint
from hierarchy.graphs import MAIN
from hierarchy.module_tree import ModuleTree
from hierarchy.record import Op, Record
from rewriter.evidence.alignment import Alignment
from rewriter.evidence.claims import Claim, Claims, Kind
from rewriter.evidence.enclosure import Enclosure
from rewriter.evidence.identity import UNKNOWN_SCOPE
from rewriter.evidence.shared import calls_in_order
from rewriter.evidence.values import Classes, Values, compare
from rewriter.evidence.weights import WeightMatch, weight_readers
from rewriter.flow import Flow
from rewriter.wiring import NONE, Contracted, Wiring, by_graph, parent

if TYPE_CHECKING:
    from rewriter.evidence.spans import Span

_NEAR_ENOUGH = 0.5
"""Median distance of the results of sure pairs, up to which a quantised file's values tell."""

_SURELY_NEAR = 0.4
"""What nine of ten sure pairs keep, where values that are farther apart speak against a pair."""

_MOST_ALTERNATIVES = 16
"""More alternatives than that say nothing about a node."""


def recorded_prints(record: Record, there: Wiring) -> dict[int, ValueFingerprint]:
    """Recorded values, the probe inputs included, by their number in the wiring."""
    found = {}
    for given in record.probe.inputs:
        value = there.number(MAIN, given.name)
        known = value_fingerprint(given.array())
        if value != NONE and known is not None:
            found[value] = known
    for node, op in enumerate(record.ops):
        pairs = zip(there.outputs[node], op.values, strict=False)
        found |= {v: known for v, known in pairs if known is not None and v != NONE}
    return found


@dataclass
class Settlement:
    """Settles the nodes of one file.

    Attributes:
        flow, record: What is matched.
        here, there: Their wirings.
        values: What is known of the values of both.
        weights: What is known of the weights of both.
    """

    flow: Flow
    record: Record
    here: Wiring
    there: Wiring
    values: Values | None = None
    weights: WeightMatch = field(default_factory=WeightMatch)

    def __post_init__(self) -> None:
        """See the graphs without what only passes values on."""
        values = self.values
        exact = values is not None and values.vetoes  # a quantised file may round a part to nothing
        self._ours = Contracted(self.here, values.here.passing if values and exact else {})
        self._theirs = Contracted(self.there, values.there.passing if values and exact else {})
        self.alignment = Alignment(
            self._ours, self._theirs, values, self.weights.held, self._matched_inputs()
        )
        self._regions: dict[int, tuple[int, ...]] = {}
        self._reasons: dict[int, str] = {}
        self._refuted: dict[int, int] = {}

    def run(self, named: Mapping[int, int], *, structure: bool = True) -> None:
        """Plant what is sure, grow from it, and enclose what is left.

        Args:
            named: Nodes and recorded ops of equal names.
            structure: Whether the graph's structure may speak.
        """
        self._plant_names(named)
        if self.values is not None:
            self._plant_values(self.values)
        self._plant_weights()
        self._plant_calls()
        self._trust_rounded()
        if not structure:
            return
        self.alignment.grow()
        if self._plant_in_bodies():
            self.alignment.grow()
        while self._plant_between():
            self.alignment.grow()
        self._grow_raw()
        spans = self._spans()
        enclosure = Enclosure(self.alignment, spans, self.weights.merged)
        readers = weight_readers(self.there, self._theirs.sources)
        for node in range(len(self.here)):
            if node in self.alignment.image or self._takes_no_part(node):
                continue
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
        kinds = {kind: Claims() for kind in (Kind.NAMES, Kind.WEIGHTS, Kind.VALUES, Kind.STRUCTURE)}
        tree = self.record.tree
        constants = constant_modules(self.record, self.values)
        for node, key in enumerate(self.flow.keys):
            own = self._by_itself(node, constants)
            if own is not None:
                kinds[Kind(own.kind)].by_node[key] = own
                continue
            if node in self.alignment.image:
                kind, ops = self.alignment.kinds[node], self._done_by(node)
            elif node in self._regions:
                kind, ops = Kind.STRUCTURE, self._regions[node]
            elif node in self.alignment.ambiguous:
                kind, ops = Kind.VALUES, self._alternatives(node)
            else:
                if node in self._reasons:
                    kinds[Kind.STRUCTURE].reasons[key] = self._reasons[node]
                elif self._ours.passing[node]:
                    kinds[Kind.STRUCTURE].known[key] = "it gives back the numbers that it reads"
                continue
            unknown = node in self.alignment.image and self.record.ops[ops[0]].module is None
            claim = None if unknown else claim_for([self.record.ops[op] for op in ops], kind, tree)
            if claim is None:
                kinds[kind].known[key] = UNKNOWN_SCOPE
            else:
                kinds[kind].by_node[key] = claim
        for node, op in self._refuted.items():
            module = self.record.ops[op].module
            settled = kinds[Kind.VALUES].by_node.get(self.flow.keys[node])
            if module is not None and (settled is None or settled.module != module):
                kinds[Kind.VALUES].refuted[self.flow.keys[node]] = (
                    f"names say {module or 'the root'}, but what it computes is something else"
                )
        return list(kinds.values())

    def _by_itself(self, node: int, constants: Mapping[int, str]) -> Claim | None:
        """The module of a node that is recognised without a recorded op.

        It computes a constant that one module computes; or reads a parameter of one of the
        modules whose work it does, or depends on nothing else.
        """
        if node in self.alignment.image or self._ours.passing[node]:
            return None
        owners = {self.weights.owners.get(value) for value in self._ours.sources[node]} - {None}
        owner = owners.pop() if len(owners) == 1 else None
        for value in self.here.makes(node):
            module = self._computes_constant(value, constants)
            # whole numbers that count up are computed everywhere: a weight tells more
            if module is not None and (owner is None or self._is_real(value)):
                return Claim(module, Kind.VALUES)
        ops = (self.record.ops[op] for op in self._regions.get(node, ()))
        within = {path for op in ops for path in (op.module, *op.also)}
        if owner is not None and (self.here.derived[node] or owner in within):
            return Claim(owner, Kind.WEIGHTS)
        return None

    def _computes_constant(self, value: int, constants: Mapping[int, str]) -> str | None:
        values = self.values
        return constants.get(values.here.classes.of.get(value, NONE)) if values else None

    def _is_real(self, value: int) -> bool:
        return self.values is not None and self.values.here.prints[value].kind == "f"

    def _matched_inputs(self) -> dict[int, int]:
        """Inputs of the file to the recorded ones: by what they were fed, else by name."""
        theirs = {self.there.names[value]: value for value in self.there.given}
        found = {}
        for value in self.here.given:
            alike = [v for v in theirs.values() if self.values and self.values.agree(value, v)]
            named = theirs.get(self.here.names[value])
            if len(alike) == 1:
                found[value] = alike[0]
            elif named is not None and (not alike or named in alike):
                found[value] = named
        return found

    def _plant_names(self, named: Mapping[int, int]) -> None:
        for node, op in named.items():
            if self.values is None or self.values.compatible(node, op) is not False:
                self.alignment.plant(node, op, Kind.NAMES)
            else:
                self._refuted[node] = op

    def _plant_values(self, values: Values) -> None:
        """Nodes that compute what exactly one recorded op computes."""
        alignment = self.alignment
        for node in range(len(self.here)):
            if node in alignment.image or node in values.here.passing:
                continue
            options = values.ops_for(node)
            if not options:
                continue
            alignment.options[node] = options
            if len(options) == 1 and values.is_sure(node):
                op = next(iter(options))
                # where all is rounded, order statistics alone may take one layer for the next
                if values.rounded is None or values.rounded.ops_for(node).keys() <= {op}:
                    alignment.plant(node, op, Kind.VALUES)

    def _plant_weights(self) -> None:
        """Nodes that read a weight which one recorded op reads."""
        readers = weight_readers(self.there, self._theirs.sources)
        for node in range(len(self.here)):
            if node in self.alignment.image or self._takes_no_part(node):
                continue
            ops = self._readers_of_weights(node, readers)
            options = self.alignment.options.get(node)
            if options is not None:
                ops = [op for op in ops if op in options]
            if not ops or not self._may_be(node, ops[-1]):
                continue
            if len(ops) == 1:
                self.alignment.plant(node, ops[0], Kind.WEIGHTS)
            elif self._in_a_row(ops):
                self.alignment.plant_several(node, ops, Kind.WEIGHTS)

    def _plant_calls(self) -> None:
        """Nodes that read a parameter of a module which is called several times, in their order."""
        readers = weight_readers(self.there, self._theirs.sources)
        held = {v: labels for v, labels in self.weights.held.items() if v in self.weights.owners}
        image, options = self.alignment.image, self.alignment.options
        for pairs in calls_in_order(self._ours, self._theirs, held, readers):
            if all(image.get(node, op) == op and self._may_be(node, op) for node, op in pairs):
                for node, op in pairs:
                    if node not in image and op in options.get(node, (op,)):
                        self.alignment.plant(node, op, Kind.WEIGHTS)

    def _trust_rounded(self) -> None:
        """Let near values speak, if those of sure pairs are near."""
        if self.values is None or self.values.rounded is None:
            return
        rounded, image = self.values.rounded, self.alignment.image
        distances = [rounded.distance(node, op) for node, op in image.items()]
        known = sorted(distance for distance in distances if distance is not None)
        if not known or known[len(known) // 2] > _NEAR_ENOUGH:
            self.values.rounded = None
            return
        rounded.vetoes = known[len(known) * 9 // 10] <= _SURELY_NEAR
        for node in range(len(self.here)):
            settled = node in image or node in self.alignment.options
            if not settled and not self._takes_no_part(node):
                near = rounded.ops_for(node).items()
                found = {op: distance for op, distance in near if not self._theirs.passing[op]}
                self.alignment.hints[node] = found

    def _takes_no_part(self, node: int) -> bool:
        """Whether a node only passes values on, or depends on no input."""
        return self._ours.passing[node] or self.here.derived[node]

    def _plant_in_bodies(self) -> bool:
        """Nodes of an operator that is there once in a body and once in the recorded one.

        What runs in the bodies of an If or a Loop is not to be seen from outside.
        """
        ours, theirs = by_graph(self.here), by_graph(self.there)
        planted = False
        for path in sorted(ours, key=len):
            above = parent(path)
            if above is None or above not in ours:
                continue
            position, _, name = path[len(above) + 1 :].partition(".")
            op = self.alignment.image.get(ours[above][int(position)])
            if op is None:
                continue
            recorded = self.record.ops[op]
            inside = theirs.get(f"{recorded.graph}/{recorded.index}.{name}", [])
            for node, twin in self._unique_kinds(ours[path], inside):
                self.alignment.plant(node, twin, Kind.STRUCTURE)
                planted = True
        return planted

    def _plant_between(self) -> bool:
        """Nodes of operators that the record does not have, where one op alone fits the place.

        It reads what all of the node's makers make, and is read by all of its settled readers.
        """
        known = set(self.there.kinds)
        planted = False
        for node, kind in enumerate(self.here.kinds):
            if kind in known or node in self.alignment.image or self._takes_no_part(node):
                continue
            ops = [op for op in self._fitting(node) if self.alignment.is_free(op)]
            if len(ops) == 1 and self._may_be(node, ops[0]):
                self.alignment.plant(node, ops[0], Kind.STRUCTURE)
                planted = True
        return planted

    def _fitting(self, node: int) -> set[int]:
        image = self.alignment.image
        makers = [image.get(maker, NONE) for maker in self._ours.makers(node)]
        readers = [image[reader] for reader in self._ours.readers[node] if reader in image]
        if not makers or not readers or NONE in makers:
            return set()
        after = (set(self._theirs.readers[op]) for op in makers)
        before = (set(self._theirs.makers(op)) for op in readers)
        return set.intersection(*after, *before)

    def _unique_kinds(self, nodes: list[int], ops: list[int]) -> Iterator[tuple[int, int]]:
        there = Counter(self.there.kinds[op] for op in ops)
        here = Counter(self.here.kinds[node] for node in nodes)
        alone = {self.there.kinds[op]: op for op in ops}
        for node in nodes:
            kind = self.here.kinds[node]
            if here[kind] == there[kind] == 1 and node not in self.alignment.image:
                yield node, alone[kind]

    def _in_a_row(self, ops: list[int]) -> bool:
        """Whether each recorded op reads what the one before it makes."""
        pairs = itertools.pairwise(ops)
        return all(former in self._theirs.makers(latter) for former, latter in pairs)

    def _may_be(self, node: int, op: int) -> bool:
        values = self.values
        exact = values is not None and values.vetoes
        return values is None or not exact or values.compatible(node, op) is not False

    def _readers_of_weights(self, node: int, readers: Mapping[int, list[int]]) -> list[int]:
        found: dict[int, None] = {}
        for value in self._ours.sources[node]:
            held = self.weights.held.get(value, frozenset())
            if len(held) == 1:
                found.update(dict.fromkeys(readers.get(next(iter(held)), [])))
        kinds, kind = self.there.kinds, self.here.kinds[node]
        alike = [op for op in found if kinds[op] == kind]
        return sorted(alike if len(alike) == 1 else found)

    def _readers_of_parts(self, node: int, readers: Mapping[int, list[int]]) -> tuple[int, ...]:
        """Recorded ops that read the weights which were merged into a node's."""
        merged = (self.weights.merged.get(value, ()) for value in self._ours.sources[node])
        parts = itertools.chain.from_iterable(merged)
        return tuple(sorted({op for part in parts for op in readers.get(part, ())}))

    def _grow_raw(self) -> None:
        """Settle what passes values on, and constants, edge by edge."""
        image = self.alignment.image
        passive = {n for n in range(len(self.here)) if self._takes_no_part(n)}
        if passive <= image.keys():
            return
        raw = Alignment(
            Contracted(self.here, None),
            Contracted(self.there, None),
            self.values,
            self.weights.held,
            self.alignment.inputs,
        )
        for node, op in image.items():
            raw.plant(node, op, self.alignment.kinds[node])
        raw.only = passive
        raw.grow()
        for node, op in raw.image.items():
            if node not in image:
                self.alignment.plant(node, op, Kind.STRUCTURE)

    def _spans(self) -> dict[int, tuple[int, ...]]:
        return {node: self._done_by(node) for node in self.alignment.image}

    def _done_by(self, node: int) -> tuple[int, ...]:
        op = self.alignment.image[node]
        if self._takes_no_part(node):
            return (op,)
        span: Span = self.alignment.span(node, op)
        return span.ops

    def _alternatives(self, node: int) -> tuple[int, ...]:
        best = self.alignment.ambiguous[node]
        return tuple(each.op for each in best[: _MOST_ALTERNATIVES + 1])


def constant_modules(record: Record, values: Values | None) -> dict[int, str]:
    """Classes of the file's constants that exactly one module computes, and that module."""
    if values is None:
        return {}
    found: dict[int, set[str]] = {}
    recorded = Classes({n: constant.value for n, constant in enumerate(record.constants)})
    for number, alike in enumerate(compare(values.here.classes, recorded, values.precision)):
        members = values.here.classes.members[number]
        if alike and all(values.here.wiring.constant(value) for value in members):
            places = (place for each in alike for place in recorded.members[each])
            found[number] = {record.tree.canonical(record.constants[p].module) for p in places}
    return {number: modules.pop() for number, modules in found.items() if len(modules) == 1}


def claim_for(ops: Collection[Op], kind: Kind, tree: ModuleTree) -> Claim | None:
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
