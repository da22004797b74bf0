"""When and how the file is run, and in which mode its values are compared."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import msgspec
import numpy as np
import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Probe, Record
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    QUANTISED,
    ROUNDED_TO_HALF_PRECISION,
    ComparisonMode,
)
from modelexport.rewriter.matching.match_sources import MatchSources
from modelexport.rewriter.matching.observed_values import ComparedValues, ObservedValues
from tests.helpers.handmade import parse, record_of
from tests.helpers.observed import FakeObserver
from tests.helpers.values import fingerprint, noise

CHAIN = """g (float[4, 8] x) => (float[4, 8] c) {
    a = Relu (x)
    b = Tanh (a)
    c = Exp (b)
}"""
X = noise(4, 8)
NAMES = "abc"
FULL, HALF = FULL_PRECISION.infinity_threshold, HALF_PRECISION.infinity_threshold

Arrays = Mapping[str, np.ndarray]


def chain(feeds: Arrays) -> dict[str, np.ndarray]:
    """Three values that depend on the input, each unlike the others."""
    x = feeds["x"]
    return {name: np.sin(x * (n + 2)) * (n + 1) for n, name in enumerate(NAMES)}


def recorded(text: str = CHAIN, values: Arrays | None = None, **inputs: np.ndarray) -> Record:
    """A record of the values, in the order of the ops."""
    model = parse(text)
    record = record_of(model, {"": "Net"}, [""] * len(model.graph.node))
    known = chain({"x": X}) if values is None else values
    ops = tuple(
        msgspec.structs.replace(op, values=(fingerprint(known[op.outputs[0]]),))
        for op in record.ops
    )
    arrays = inputs or {"x": X}
    probe = Probe(tuple(ProbeInput.from_array(name, array) for name, array in arrays.items()))
    return msgspec.structs.replace(record, ops=ops, probe=probe)


def compare(
    record: Record,
    sources: MatchSources,
    text: str = CHAIN,
    *,
    try_half_precision: bool = True,
    **weights: bool,
) -> ComparedValues:
    model = parse(text)
    with ThreadPoolExecutor(1) as executor:
        observed = ObservedValues(model, record, sources, executor)
        graph = ModelGraph(model).indexed
        return observed.compare(
            graph,
            IndexedGraph.from_record(record),
            try_half_precision=try_half_precision,
            **weights,
        )


def test_the_first_run_starts_at_once_in_another_thread() -> None:
    """What needs no inputs is prepared before, in this one."""
    started = threading.Event()
    steps = []

    def observe(feeds: Arrays, threshold: float) -> dict[tuple[str, str], object]:
        steps.append((threading.current_thread() is threading.main_thread(), threshold))
        started.set()
        return {("", name): fingerprint(array) for name, array in chain(feeds).items()}

    def prepare() -> None:
        steps.append(threading.current_thread() is threading.main_thread())

    sources = MatchSources(observe=observe, prepare=prepare)
    with ThreadPoolExecutor(1) as executor:
        model, record = parse(CHAIN), recorded()
        observed = ObservedValues(model, record, sources, executor)
        assert started.wait(10)
        graph = ModelGraph(model).indexed
        actual = observed.compare(graph, IndexedGraph.from_record(record), try_half_precision=True)
    assert steps == [True, (False, FULL)]
    assert actual.values is not None
    assert actual.values.file_share == 1


def test_the_first_run_reports_to_the_listener_of_the_caller() -> None:
    """The other thread has the context of the one that began the run."""
    listener: ContextVar[str] = ContextVar("listener", default="nobody")
    heard = []

    def compute(feeds: Arrays) -> Arrays:
        heard.append(listener.get())
        return chain(feeds)

    listener.set("caller")
    compare(recorded(), MatchSources(observe=FakeObserver(compute)))
    assert heard == ["caller"]


def test_a_file_that_computes_what_was_recorded_runs_once() -> None:
    """In full precision, on the recorded inputs."""
    observe = FakeObserver(chain)
    actual = compare(recorded(), MatchSources(observe=observe))
    assert actual.notes == ()
    assert actual.values is not None
    assert (actual.values.mode, actual.values.rejects_mismatch) == (FULL_PRECISION, True)
    [(feeds, threshold)] = observe.runs
    assert (list(feeds), threshold) == (["x"], FULL)
    assert np.array_equal(feeds["x"], X)


def halved(feeds: Arrays) -> dict[str, np.ndarray]:
    return {name: array * 1.01 for name, array in chain(feeds).items()}


def test_a_file_in_half_precision_runs_twice() -> None:
    """Larger numbers count as infinite in the second run."""
    observe = FakeObserver(halved)
    actual = compare(recorded(), MatchSources(observe=observe))
    assert actual.values is not None
    assert (actual.values.mode, actual.values.rejects_mismatch) == (HALF_PRECISION, True)
    assert (actual.notes, observe.thresholds) == ((), [FULL, HALF])


@pytest.mark.parametrize(
    ("has_few_digits", "mode"), [(False, FULL_PRECISION), (True, HALF_PRECISION)]
)
def test_rounded_weights_are_never_compared_in_full_precision(
    has_few_digits: bool, mode: ComparisonMode
) -> None:
    """Though values that rounding does not reach agree."""
    actual = compare(
        recorded(), MatchSources(observe=FakeObserver(chain)), has_few_digits=has_few_digits
    )
    assert actual.values is not None
    assert actual.values.mode is mode


def test_a_file_of_half_precision_is_not_exact_though_most_values_are() -> None:
    """Its other values would count against their own ops. Without such a sign it stays exact."""

    def compute(feeds: Arrays) -> Arrays:
        exact = chain(feeds)
        return {**exact, "a": exact["a"] * 1.01, "d": np.cos(feeds["x"])}

    text = CHAIN.replace("c = Exp (b)", "c = Exp (b) d = Sin (x)")
    sources = MatchSources(observe=FakeObserver(compute))
    rounded, exact = (compare(recorded(), sources, text, halved=h).values for h in (True, False))
    assert rounded is not None
    assert exact is not None
    assert (rounded.mode, exact.mode) == (ROUNDED_TO_HALF_PRECISION, FULL_PRECISION)
    assert [values.compatible(0, 0) for values in (rounded, exact)] == [True, False]


def test_a_file_of_half_precision_that_cannot_run_again_is_compared_as_it_ran() -> None:
    """What agrees exactly still says more than nothing."""

    def once(feeds: Arrays, threshold: float) -> object:
        return FakeObserver(chain, failures=int(threshold == HALF))(feeds, threshold)

    actual = compare(recorded(), MatchSources(observe=once), halved=True)
    assert actual.values is not None
    assert (actual.values.mode, len(actual.notes)) == (FULL_PRECISION, 1)


@pytest.mark.parametrize("coded", [True, False])
def test_values_that_8_bits_changed_count_against_no_pair(coded: bool) -> None:
    """Where the others are as near as those of half precision."""
    sources = MatchSources(observe=FakeObserver(halved))
    values = compare(recorded(), sources, coded=coded).values
    assert values is not None
    assert values.mode is HALF_PRECISION
    assert [values.compatible(0, op) for op in (0, 1)] == [True, None if coded else False]


def test_half_precision_is_tried_only_if_asked() -> None:
    """A model that was trained further computes other numbers anyway."""
    observe = FakeObserver(halved)
    actual = compare(recorded(), MatchSources(observe=observe), try_half_precision=False)
    assert actual.values is not None
    assert (actual.values.mode, observe.thresholds) == (QUANTISED, [FULL])


def test_any_other_file_is_compared_as_a_quantised_one() -> None:
    """With what it computes in full precision."""
    observe = FakeObserver(lambda feeds: {n: a * 2 for n, a in chain(feeds).items()})
    actual = compare(recorded(), MatchSources(observe=observe))
    assert actual.values is not None
    assert actual.values.mode is QUANTISED
    assert actual.values.quantised is not None
    assert (actual.notes, observe.thresholds) == ((), [FULL, HALF])


def test_half_precision_that_fails_is_noted() -> None:
    """The file may run once and not again."""
    observe = FakeObserver(halved)

    def once(feeds: Arrays, threshold: float) -> object:
        if threshold == HALF:
            return FakeObserver(halved, failures=1)(feeds, threshold)
        return observe(feeds, threshold)

    actual = compare(recorded(), MatchSources(observe=once))
    assert actual.values is not None
    assert actual.values.mode is QUANTISED
    assert actual.notes == ("values were not compared: run 1 failed",)


def test_a_file_that_may_not_be_run_is_not_run() -> None:
    """Where values are not wanted there is nothing to say about it."""
    observe = FakeObserver(chain)
    others = frozenset(EvidenceKind) - {EvidenceKind.VALUES}
    sources = MatchSources(observe=observe, evidence=others, not_run_because="so")
    assert compare(recorded(), sources) == (None, ())
    assert observe.runs == []


def test_the_reason_why_a_file_is_not_run_is_noted() -> None:
    """What the user asked for, else what the record lacks; else nothing."""
    record = recorded()
    without = msgspec.structs.replace(record, probe=Probe(missing="it has none"))
    forbidden = MatchSources(not_run_because="--no-run was given")
    assert compare(record, forbidden) == (None, ("values were not compared: --no-run was given",))
    assert compare(without, forbidden) == compare(record, forbidden)
    observe = FakeObserver(chain)
    actual = compare(without, MatchSources(observe=observe))
    assert actual == (None, ("values were not compared: it has none",))
    assert observe.runs == []
    assert compare(record, MatchSources()) == (None, ())


def test_a_run_that_fails_is_noted() -> None:
    """There is one way to feed the file."""
    observe = FakeObserver(chain, failures=1)
    actual = compare(recorded(), MatchSources(observe=observe))
    assert actual == (None, ("values were not compared: run 1 failed",))


def test_recorded_values_tell_the_extents_of_inputs_that_were_not_recorded() -> None:
    """Such an input is empty along one axis; along the others it is as long as a value."""
    observe = FakeObserver(chain)
    text = CHAIN.replace("float[4, 8] x", "float[4, 8] x, float[p, q] past")
    compare(recorded(), MatchSources(observe=observe), text)
    feeds, _ = observe.runs[0]
    assert feeds["past"].shape == (0, X.shape[1])


def test_inputs_that_do_not_fit_are_noted() -> None:
    """Nothing is prepared, nothing runs."""
    observe = FakeObserver(chain)
    steps: list[str] = []
    sources = MatchSources(observe=observe, prepare=lambda: steps.append("prepared"))
    actual = compare(recorded(), sources, CHAIN.replace("float[4, 8] x", "float[5, 8] x"))
    assert actual.values is None
    [note] = actual.notes
    assert note.startswith("values were not compared: its input x is float32[5, 8]")
    assert (steps, observe.runs) == ([], [])


def test_a_part_from_the_middle_is_not_fed() -> None:
    """It reads what the recorded model computes, and no recorded input is that."""
    observe = FakeObserver(chain)
    part = "g (float[4, 8] a) => (float[4, 8] c) { b = Tanh (a) c = Exp (b) }"
    actual = compare(recorded(), MatchSources(observe=observe), part)
    note = "values were not compared: its input a is computed inside the recorded model"
    assert actual == (None, (note,))
    assert observe.runs == []


def test_an_input_that_is_given_may_be_called_like_a_value() -> None:
    """Its own inputs are fed by their names."""
    observe = FakeObserver(lambda feeds: {"b": feeds["a"], "c": feeds["a"] + 1})
    part = "g (float[4, 8] a) => (float[4, 8] c) { b = Tanh (a) c = Exp (b) }"
    sources = MatchSources(observe=observe, inputs=(("a", X),))
    assert compare(recorded(), sources, part).values is not None
    assert len(observe.runs) == 2


TWO = """g (float[4, 8] x, float[4, 8] y) => (float[4, 8] c) {
    a = Relu (x)
    b = Tanh (y)
    c = Sub (a, b)
}"""
RENAMED = TWO.replace("x", "p").replace("y", "q")
Y = noise(4, 8, seed=1)


def two(feeds: Arrays) -> dict[str, np.ndarray]:
    p, q = feeds.values()
    return {"a": np.sin(p), "b": np.cos(q) * 3, "c": np.sin(p) - np.cos(q) * 3}


def in_order(share: int) -> FakeObserver:
    """Computes so many of the three recorded values if inputs are fed the other way around."""

    def compute(feeds: Arrays) -> dict[str, np.ndarray]:
        good = two(feeds) if np.array_equal(feeds["p"], X) else two({"p": Y, "q": X})
        other = {name: array + 5 for name, array in good.items()}
        kept = dict(list(good.items())[:share]) if np.array_equal(feeds["p"], X) else {}
        return other | kept

    return FakeObserver(compute)


def test_inputs_are_fed_in_the_way_under_which_most_is_recorded() -> None:
    """Inputs of one type and other names may stand in another order."""
    record = recorded(TWO, two({"p": X, "q": Y}), y=Y, x=X)
    observe = in_order(2)
    actual = compare(record, MatchSources(observe=observe), RENAMED)
    assert actual.values is not None
    assert actual.values.file_share == 2 / 3
    assert [np.array_equal(feeds["p"], X) for feeds, _ in observe.runs] == [False, True]


def test_the_recorded_order_stays_where_no_way_fits() -> None:
    """A quantised file shows too little to choose another by: half is not enough."""
    text = TWO.replace("c = Sub (a, b)", "c = Sub (a, b) d = Neg (c)")
    values = two({"p": X, "q": Y})
    record = recorded(text, values | {"d": values["a"] * 7}, y=Y, x=X)
    renamed = text.replace("x", "p").replace("y", "q")

    def compute(feeds: Arrays) -> dict[str, np.ndarray]:
        good = two(feeds)
        kept = {"a": good["a"], "b": good["b"]} if np.array_equal(feeds["p"], X) else {}
        return {name: noise(4, 8, seed=n + 7) for n, name in enumerate("abcd")} | kept

    observe = FakeObserver(compute)
    actual = compare(record, MatchSources(observe=observe), renamed, try_half_precision=False)
    assert actual.values is not None
    assert actual.values.file_share == 0
    assert len(observe.runs) == 2


def test_a_way_that_fails_is_left_out() -> None:
    """The next one may work; if none does, the first failure is noted."""
    record = recorded(TWO, two({"p": X, "q": Y}), x=X, y=Y)
    actual = compare(record, MatchSources(observe=FakeObserver(two, failures=1)), RENAMED)
    assert actual.values is not None
    assert actual.notes == ()
    failing = compare(record, MatchSources(observe=FakeObserver(two, failures=9)), RENAMED)
    assert failing == (None, ("values were not compared: run 1 failed",))


def test_a_reference_is_run_in_place_of_the_recorded_fingerprints() -> None:
    """On the given inputs, of which it gets its own; once, whatever the modes."""
    other = noise(4, 8, seed=5)
    observe, reference = FakeObserver(halved), FakeObserver(chain)
    sources = MatchSources(
        observe=observe, reference=reference, inputs=(("unused", X), ("x", other))
    )
    record = recorded(values=dict.fromkeys(NAMES, X))
    actual = compare(record, sources)
    assert actual.values is not None
    assert actual.values.mode is HALF_PRECISION
    [(feeds, threshold)] = reference.runs
    assert (list(feeds), threshold) == (["x"], FULL)
    assert np.array_equal(feeds["x"], other)
    assert observe.runs
    assert [np.array_equal(feeds["x"], other) for feeds, _ in observe.runs] == [True] * len(
        observe.runs
    )


def test_a_reference_needs_no_recorded_fingerprints() -> None:
    """A record without them may have inputs all the same."""
    record = recorded()
    probe = msgspec.structs.replace(record.probe, missing="it has none")
    record = msgspec.structs.replace(record, probe=probe)
    sources = MatchSources(observe=FakeObserver(chain), reference=FakeObserver(chain))
    actual = compare(record, sources)
    assert actual.values is not None
    assert actual.values.file_share == 1


def test_inputs_that_lack_one_of_the_reference_are_noted() -> None:
    """Each of those that lack is named."""
    record = recorded(TWO, two({"p": X, "q": Y}), x=X, y=Y)
    reference = FakeObserver(chain)
    sources = MatchSources(observe=FakeObserver(chain), reference=reference, inputs=(("z", X),))
    actual = compare(record, sources)
    assert actual == (None, ("values were not compared: the given inputs lack x, y",))
    assert reference.runs == []


@pytest.mark.parametrize("name", ["nobody", "y"])
def test_values_that_the_graph_does_not_have_are_left_out(name: str) -> None:
    """An observer may give more than nodes compute."""
    observe = FakeObserver(lambda feeds: chain(feeds) | {name: X})
    actual = compare(recorded(), MatchSources(observe=observe))
    assert actual.values is not None
    assert len(actual.values.file.fingerprints) == 4


RELATED = {"a": chain({"x": X})["a"], "b": noise(4, 8, seed=5), "c": noise(4, 8, seed=6)}


@pytest.mark.parametrize(
    ("values", "related", "rejects", "diverges"),
    [
        (chain({"x": X}), True, True, True),
        (chain({"x": X}), False, True, False),
        (RELATED, True, True, True),
        (RELATED, False, False, False),
        ({**RELATED, "a": noise(4, 8, seed=7)}, True, False, False),
    ],
)
def test_a_file_with_the_recorded_weights_computes_exactly_up_to_where_it_differs(
    values: Arrays, related: bool, rejects: bool, diverges: bool
) -> None:
    """If it computes anything of what was recorded."""
    model, record = parse(CHAIN), recorded()
    observe = FakeObserver(lambda _: dict(values))
    with ThreadPoolExecutor(1) as executor:
        observed = ObservedValues(model, record, MatchSources(observe=observe), executor)
        actual = observed.compare(
            ModelGraph(model).indexed,
            IndexedGraph.from_record(record),
            try_half_precision=False,
            **({"may_be_related": True} if related else {}),
        )
    assert actual.notes == ()
    assert actual.values is not None
    assert (actual.values.rejects_mismatch, actual.values.may_diverge) == (rejects, diverges)
