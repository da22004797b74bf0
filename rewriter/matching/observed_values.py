"""What a file computes on the recorded inputs, compared with what was recorded.

Running the file takes longest, so it starts at once, in another thread, while the caller looks
at the graph and at the weights.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint
from modelexport.hierarchy.record import Record
from modelexport.rewriter.execution.feeds import (
    Feeds,
    InputMismatchError,
    candidate_feeds,
    graph_inputs,
)
from modelexport.rewriter.execution.observer import Fingerprints, recorded_values
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    ROUNDED_TO_HALF_PRECISION,
    ComparisonMode,
)
from modelexport.rewriter.matching.evidence.value_side import ValueSide
from modelexport.rewriter.matching.evidence.values import (
    ValueMatch,
    match_values,
    recorded_fingerprints,
)
from modelexport.rewriter.matching.match_sources import MatchSources, Observe
from modelexport.rewriter.matching.thresholds import FITTING_FEED_SHARE


class ComparedValues(NamedTuple):
    """What came of comparing values.

    Attributes:
        values: The comparison; None when there is none.
        notes: Why there is none, or why it is not complete.
    """

    values: ValueMatch | None
    notes: tuple[str, ...]


class ObservedValues:
    """Runs a file on the recorded inputs. The first run starts when this is made.

    Args:
        model: The file.
        record: The record.
        sources: What may be looked at.
        executor: Runs the file in another thread.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        record: Record,
        sources: MatchSources,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._model = model
        self._record = record
        self._sources = sources
        self._may_run = EvidenceKind.VALUES in sources.evidence
        self._observe = sources.observe if self._may_run else None
        if record.probe.missing is not None and sources.reference is None:
            self._observe = None
        self._first_run: Future[Fingerprints] | None = None
        if self._observe is not None and (feeds := self._first_feeds()) is not None:
            sources.prepare()  # in this thread, so that only the runtime works in the other one
            self._first_run = executor.submit(
                copy_context().run, self._observe, feeds, FULL_PRECISION.infinity_threshold
            )

    def compare(
        self,
        file: IndexedGraph,
        recorded: IndexedGraph,
        *,
        try_half_precision: bool,
        may_be_related: bool = False,
        has_few_digits: bool = False,
        halved: bool = False,
        coded: bool = False,
    ) -> ComparedValues:
        """Compare what the file computes with what was recorded, in the mode that fits.

        A file with exactly the recorded weights computes exact values. If it still computes few
        recorded values, it is a related model: its values agree up to the place where the models
        differ. A shallow file in 16 bits computes many values so exactly that it could be taken for
        one in full precision; its weights tell that it is none. Many values of a file in 8 bits may
        be near the recorded ones, too. They count for pairs, but others count against none.

        Args:
            file: The file.
            recorded: The recorded graph.
            try_half_precision: Whether the file may be one in half precision.
            may_be_related: Whether its weights are recorded ones with all their digits.
            has_few_digits: Whether they were rounded to 16 bits, and are stored in 32.
            halved: Whether they were rounded to 16 bits, and are stored in these.
            coded: Whether they are stored as whole numbers of 8 bits or fewer.
        """
        if self._observe is None:
            return ComparedValues(None, self._why_not_run())
        try:
            recorded_side = ValueSide(recorded, self._recorded_fingerprints(recorded))
            values = self._match_feeds(self._observe, file, recorded_side, FULL_PRECISION)
        except (InputMismatchError, RuntimeFailedError) as error:
            return ComparedValues(None, (_not_compared(error),))
        is_exact = values.rejects_mismatch and not has_few_digits
        if is_exact and not halved:
            return ComparedValues(values.as_related() if may_be_related else values, ())
        notes: tuple[str, ...] = ()
        if try_half_precision:
            mode = ROUNDED_TO_HALF_PRECISION if is_exact else HALF_PRECISION
            try:
                half = self._match_feeds(self._observe, file, recorded_side, mode)
            except RuntimeFailedError as error:
                notes = (_not_compared(error),)
            else:
                if half.rejects_mismatch:  # what 8 bits do to a value may be more than that
                    return ComparedValues(replace(half, rejects_mismatch=not coded), ())
        if is_exact:
            return ComparedValues(values, notes)
        if may_be_related and values.file_share:
            return ComparedValues(values.as_related(), notes)
        return ComparedValues(values.as_quantised(), notes)

    def _why_not_run(self) -> tuple[str, ...]:
        why = self._sources.not_run_because or self._record.probe.missing
        return (_not_compared(why),) if why and self._may_run else ()

    def _recorded_fingerprints(self, recorded: IndexedGraph) -> dict[int, ValueFingerprint]:
        """What the traced file computes: as recorded, or run now."""
        if self._sources.reference is None:
            return recorded_fingerprints(self._record, recorded)
        inputs = dict(self._inputs)
        names = [probe.name for probe in self._record.probe.inputs]
        absent = [name for name in names if name not in inputs]
        if absent:
            raise InputMismatchError(f"the given inputs lack {', '.join(absent)}")
        feeds = {name: inputs[name] for name in names}
        return _by_value(
            recorded, self._sources.reference(feeds, FULL_PRECISION.infinity_threshold)
        )

    @cached_property
    def _inputs(self) -> list[tuple[str, Array]]:
        """The inputs to run on."""
        if self._sources.inputs is not None:
            return list(self._sources.inputs)
        return [(probe.name, probe.to_array()) for probe in self._record.probe.inputs]

    def _match_feeds(
        self, observe: Observe, file: IndexedGraph, recorded_side: ValueSide, mode: ComparisonMode
    ) -> ValueMatch:
        """The values of the first way to feed the file that gives recorded values.

        If none does, the first way of all: a quantised file gives no basis to choose another one.
        """
        first: ValueMatch | None = None
        failure: RuntimeFailedError | None = None
        for number, feeds in enumerate(self._candidate_feeds()):
            try:
                fingerprints = self._run(observe, number, feeds, mode)
            except RuntimeFailedError as error:
                failure = failure or error
                continue
            values = match_values(
                ValueSide(file, _by_value(file, fingerprints)), recorded_side, mode
            )
            if values.file_share > FITTING_FEED_SHARE:
                return values
            first = first or values
        if first is None:
            assert failure is not None  # there is at least one way, or an InputMismatchError
            raise failure
        return first

    def _run(
        self, observe: Observe, number: int, feeds: Feeds, mode: ComparisonMode
    ) -> Fingerprints:
        """The fingerprints of one run; of the first run in full precision, which has begun."""
        if number == 0 and mode is FULL_PRECISION and self._first_run is not None:
            return self._first_run.result()
        return observe(feeds, mode.infinity_threshold)

    def _first_feeds(self) -> Feeds | None:
        """The first way to feed the file; None if there is none: `compare` gives the reason."""
        try:
            return next(self._candidate_feeds())
        except InputMismatchError:
            return None

    def _candidate_feeds(self) -> Iterator[Feeds]:
        """The ways to feed the file.

        A part that was cut from the middle reads inner values, so no recorded input fits.

        Raises:
            InputMismatchError: An input has the name of a value that the recorded model computes,
                or cannot be fed.
        """
        names = {name for name, _ in self._inputs}
        computed = {name for op in self._record.ops for name in op.outputs} - names
        for value in graph_inputs(self._model.graph):
            if value.name in computed:
                raise InputMismatchError(
                    f"its input {value.name} is computed inside the recorded model"
                )
        shapes = (value.shape for value in recorded_values(self._record))
        yield from candidate_feeds(self._model.graph, self._inputs, shapes)


def _not_compared(why: object) -> str:
    return f"values were not compared: {why}"


def _by_value(graph: IndexedGraph, fingerprints: Fingerprints) -> dict[int, ValueFingerprint]:
    """Fingerprints by the numbers that values have in a graph."""
    numbered = ((graph.value_of(*name), fingerprint) for name, fingerprint in fingerprints.items())
    return {value: fingerprint for value, fingerprint in numbered if value != NONE}
