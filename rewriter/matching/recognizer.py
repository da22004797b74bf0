"""Recognising a file that is not the traced one: which evidence there is, and what it amounts to.

Names, weights and values are all asked; running the file takes longest, so it goes on aside while
the rest is looked at. What all of it amounts to decides whether the record is of the file's model
at all: structure alone may not speak for a foreign file.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property

import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.execution.feeds import (
    Feeds,
    InputMismatchError,
    candidate_feeds,
    graph_inputs,
)
from modelexport.rewriter.execution.observer import Fingerprints
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.aligner import Alternative
from modelexport.rewriter.matching.evidence.claims import Claims
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    ComparisonMode,
)
from modelexport.rewriter.matching.evidence.names import Names
from modelexport.rewriter.matching.evidence.values import (
    ValueMatch,
    ValueSide,
    match_values,
    recorded_fingerprints,
)
from modelexport.rewriter.matching.evidence.weights import WeightMatch, Weights, said_of
from modelexport.rewriter.matching.model_identity import compare_weight_shapes, refuse_foreign
from modelexport.rewriter.matching.resolver import Settlement
from modelexport.rewriter.matching.thresholds import (
    FITTING_FEED_SHARE,
    MINIMUM_VALUE_SHARE,
    MINIMUM_WEIGHT_SHARE,
    SIBLING_WEIGHT_SHARE,
)
from modelexport.support.threads import short_switch_interval

Considered = dict[int, list[Alternative]]
Observe = Callable[[Feeds, float], Fingerprints]

_NO_WAY = "there is no way to feed it"


@dataclass(frozen=True)
class MatchSources:
    """What matching may look at beyond the graph.

    Attributes:
        read: Reads an initializer.
        observe: Runs the file and gives a fingerprint of every value.
        prepare: Does what can be done of that before it is known on what the file runs.
        evidence: The kinds that may be used.
        unobserved: Why the file is not run, when it is not.
        beside: Runs the plain file and gives a fingerprint of every value.
        inputs: Inputs in place of the recorded ones, by name.
    """

    read: ReadInitializer = field(default=lambda _: None)
    observe: Observe | None = None
    prepare: Callable[[], None] = field(default=lambda: None)
    evidence: frozenset[str] = frozenset(EvidenceKind)
    unobserved: str = ""
    beside: Observe | None = None
    inputs: tuple[tuple[str, Array], ...] | None = None


@dataclass
class Recognised:
    """What was recognised.

    Attributes:
        graph: The nodes of the file.
        claims: What each kind of evidence says.
        notes: What the user should know.
        origins: Recorded ops whose work each node does.
        considered: Recorded ops that were weighed for each node.
        parameters: Initializer name to the parameter that it holds.
    """

    graph: ModelGraph
    claims: list[Claims]
    notes: tuple[str, ...]
    origins: dict[int, tuple[int, ...]]
    considered: Considered
    parameters: dict[str, str]


def recognise(
    model: onnx.ModelProto, record: Record, where: str, means: MatchSources
) -> Recognised:
    """Match a file with a record by all evidence but identity.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    with short_switch_interval(), ThreadPoolExecutor(1) as aside:
        return _Recognising(model, record, where, means, aside).run()


class _Recognising:
    """One file and one record.

    The file runs aside from the start, while its graph and its weights are looked at.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        record: Record,
        where: str,
        means: MatchSources,
        aside: ThreadPoolExecutor,
    ) -> None:
        self._model = model
        self._record = record
        self._where = where
        self._means = means
        self._observe = means.observe if EvidenceKind.VALUES in means.evidence else None
        if record.probe.missing is not None and means.beside is None:
            self._observe = None
        self._first_look: Future[Fingerprints] | None = None
        if self._observe is not None and (feeds := self._first_way()) is not None:
            means.prepare()  # here, so that nothing but the runtime's work is left to be done aside
            self._first_look = aside.submit(
                copy_context().run, self._observe, feeds, FULL_PRECISION.infinity_threshold
            )
        self._graph = ModelGraph(model)
        self._here = self._graph.indexed
        self._there = IndexedGraph.from_record(record)
        self._notes: list[str] = []

    def run(self) -> Recognised:
        allowed = self._means.evidence
        names = Names(self._graph, self._record) if EvidenceKind.NAMES in allowed else None
        named = names.pairs if names is not None else {}
        weights, values = self._match_contents()
        if weights.retrained and values is not None:
            if values.rejects_mismatch:
                weights.differing = 0  # weights were folded into others: it computes the same
            else:
                values = None
        self._judge(values, weights, len(named))
        if EvidenceKind.WEIGHTS not in allowed:
            weights = WeightMatch()
        found = Settlement(self._graph, self._record, self._here, self._there, values, weights)
        found.run(named, structure=EvidenceKind.STRUCTURE in allowed)
        claims = found.claims()
        if names is not None:
            settled = {key for said in claims for key in said.by_node}
            keys = self._graph.keys
            reasons = names.why_not(n for n, key in enumerate(keys) if key not in settled)
            claims.insert(0, Claims(reasons={keys[n]: reason for n, reason in reasons.items()}))
        return Recognised(
            self._graph,
            claims,
            tuple(self._notes),
            {node: ops for node in range(len(self._here)) if (ops := found.origins(node))},
            found.alignment.considered,
            self._parameters(weights),
        )

    def _match_contents(self) -> tuple[WeightMatch, ValueMatch | None]:
        """Compare the weights, and what the file computes."""
        weights = Weights(self._graph, self._here, self._there, self._record, self._means.read)
        held = weights.match(by_content=True)
        values = self._match_values(FULL_PRECISION)
        if values is None or values.rejects_mismatch:
            return held, values
        halved = None if held.retrained else self._match_values(HALF_PRECISION)
        if halved is not None and halved.rejects_mismatch:
            return held, halved
        return held, values.as_quantised()

    def _match_values(self, mode: ComparisonMode) -> ValueMatch | None:
        """What the file computes, compared; None where it cannot be run or may not be."""
        if self._observe is None:
            if EvidenceKind.VALUES in self._means.evidence:
                self._note_unobserved()
            return None
        try:
            return self._observed(self._observe, ValueSide(self._there, self._recorded), mode)
        except (InputMismatchError, RuntimeFailedError) as error:
            self._notes.append(f"values were not compared: {error}")
            return None

    @cached_property
    def _recorded(self) -> dict[int, ValueFingerprint]:
        """What the plain file computes: as recorded, or run now."""
        beside = self._means.beside
        if beside is None:
            return recorded_fingerprints(self._record, self._there)
        known = dict(self._given)
        wanted = [probe.name for probe in self._record.probe.inputs]
        absent = [name for name in wanted if name not in known]
        if absent:
            raise InputMismatchError(f"the given inputs lack {', '.join(absent)}")
        return _numbered(
            self._there,
            beside({name: known[name] for name in wanted}, FULL_PRECISION.infinity_threshold),
        )

    @cached_property
    def _given(self) -> list[tuple[str, Array]]:
        """The inputs to run on."""
        if self._means.inputs is not None:
            return list(self._means.inputs)
        return [(probe.name, probe.to_array()) for probe in self._record.probe.inputs]

    def _observed(self, observe: Observe, there: ValueSide, mode: ComparisonMode) -> ValueMatch:
        """What the file computes, fed in the first way under which it does what was recorded.

        In the very first way when none does: a quantised file shows too little to choose
        another by.
        """
        first: ValueMatch | None = None
        failure: RuntimeFailedError | None = None
        for number, feeds in enumerate(self._ways()):
            looked = self._first_look if number == 0 and mode is FULL_PRECISION else None
            try:
                prints = looked.result() if looked else observe(feeds, mode.infinity_threshold)
            except RuntimeFailedError as error:
                failure = failure or error
                continue
            here = ValueSide(self._here, _numbered(self._here, prints))
            found = match_values(here, there, mode)
            if found.file_share > FITTING_FEED_SHARE:
                return found
            first = first or found
        if first is None:
            raise failure or RuntimeFailedError(_NO_WAY)
        return first

    def _first_way(self) -> Feeds | None:
        """The first way to feed the file; None when there is none: `_observed` says why."""
        try:
            return next(self._ways(), None)
        except InputMismatchError:
            return None

    def _ways(self) -> Iterator[Feeds]:
        """The ways to feed the file.

        A part cut out of the middle reads what was computed: no recorded input is that.

        Raises:
            InputMismatchError: An input is named as a value inside the recorded model, or cannot
                be fed.
        """
        given = {name for name, _ in self._given}
        computed = {name for op in self._record.ops for name in op.outputs} - given
        for value in graph_inputs(self._model.graph):
            if value.name in computed:
                raise InputMismatchError(
                    f"its input {value.name} is computed inside the recorded model"
                )
        yield from candidate_feeds(self._model.graph, self._given)

    def _note_unobserved(self) -> None:
        why = self._means.unobserved or self._record.probe.missing
        if why:
            self._notes.append(f"values were not compared: {why}")

    def _judge(self, values: ValueMatch | None, weights: WeightMatch, paired: int) -> None:
        """Refuse a record that is not of the file's model.

        Raises:
            ForeignRecordError: Too little is in common.
        """
        share = weights.matched / max(1, weights.matchable)
        if not weights.retrained:
            if values is not None and values.file_share >= MINIMUM_VALUE_SHARE:
                return
            if weights.matchable and share >= MINIMUM_WEIGHT_SHARE:
                return
        others = weights.retrained or weights.matchable > 0
        found = compare_weight_shapes(self._model, self._record)
        if not weights.retrained or share < SIBLING_WEIGHT_SHARE or paired:
            looked = (
                f", {share:.0%} of its weights hold recorded numbers" if weights.matchable else ""
            )
            if values is not None:
                looked += f", {values.file_share:.0%} of what it computes was recorded"
            refuse_foreign(
                found,
                paired,
                len(self._graph),
                self._where,
                recorded_ops=len(self._there) if others else None,
                findings=looked,
            )
        if weights.retrained:
            said = said_of(weights.differing, weights.compared, weights.example)
            self._notes.append(f"{said}, and its values were not compared")

    def _parameters(self, weights: WeightMatch) -> dict[str, str]:
        """Initializer name to parameter, of the main graph."""
        recorded = {
            self._there.value_of(t.graph, t.name): t.parameter for t in self._record.tensors
        }
        found = {}
        for value, held in weights.candidates.items():
            graph, name = self._here.value_names[value]
            parameter = recorded.get(next(iter(held))) if len(held) == 1 else None
            if graph == MAIN and parameter is not None:
                found[name] = parameter
        return found


def _numbered(graph: IndexedGraph, prints: Fingerprints) -> dict[int, ValueFingerprint]:
    """Fingerprints by the numbers that values have in a graph."""
    numbers = ((graph.value_of(*place), known) for place, known in prints.items())
    return {value: known for value, known in numbers if value != NONE}
