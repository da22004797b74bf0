"""What names, weights and values amount to: whether the record is of the file's model at all."""

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    QUANTISED,
)
from modelexport.rewriter.matching.evidence.retraining import describe_retraining
from modelexport.rewriter.matching.evidence.values import ValueMatch, match_values
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.match_sources import MatchSources
from modelexport.rewriter.matching.observed_values import ComparedValues
from modelexport.rewriter.matching.recognizer import (
    Recognition,
    Recognizer,
    _resolve_retraining,
    recognise_file,
)
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.observed import FakeObserver
from tests.helpers.recorded import renamed, with_fingerprints
from tests.helpers.values import noise, value_side

NODES = len(two_layers().graph.node)


def checked(
    values: ValueMatch | None = None, weights: WeightMatch | None = None, paired: int = 0
) -> tuple[str, ...]:
    """The notes of the check of a file with its own record."""
    with ThreadPoolExecutor(1) as executor:
        model = two_layers()
        recognizer = Recognizer(model, two_layers_record(), "f.onnx", MatchSources(), executor)
        return recognizer.check_same_model(values, weights or WeightMatch(), paired)


def values_of(share: float) -> ValueMatch:
    """Values of which such a share is recorded."""
    side = value_side("g (float[2] x) => (float[2] a) { a = Relu (x) }", {})
    return dataclasses.replace(match_values(side, side, FULL_PRECISION), file_share=share)


def weights_of(percent: int, *differing: str, compared: int = 1) -> WeightMatch:
    """Weights of whose elements so many are matched."""
    return WeightMatch(
        matched_elements=percent,
        distinctive_elements=100,
        compared=compared,
        differing=differing,
    )


RETRAINED = (describe_retraining(1, 1, "w") + ", and its values were not compared",)


@pytest.mark.parametrize(("share", "same"), [(0.2, True), (0.19, False)])
def test_a_fifth_of_recorded_values_is_the_same_model(share: float, same: bool) -> None:
    """No other model reaches it; less is refused where nothing else speaks."""
    if same:
        assert checked(values_of(share)) == ()
        return
    with pytest.raises(ForeignRecordError, match="19% of what it computes was recorded"):
        checked(values_of(share))


@pytest.mark.parametrize(("percent", "same"), [(50, True), (49, False)])
def test_half_of_recorded_weights_is_the_same_model(percent: int, same: bool) -> None:
    """Whatever values say: the file may be quantised."""
    weights, values = weights_of(percent), values_of(0.1)
    if same:
        assert checked(values, weights) == checked(None, weights) == ()
        return
    with pytest.raises(ForeignRecordError, match="49% of its weights hold recorded numbers, 10%"):
        checked(values, weights)


def test_names_decide_where_nothing_else_can_be_compared() -> None:
    """A quarter of them."""
    assert checked(paired=NODES // 3) == ()
    with pytest.raises(ForeignRecordError, match=rf"1 of {NODES} node names pair.*in size\.$"):
        checked(paired=1)


def test_names_must_nearly_all_pair_where_weights_are_others() -> None:
    """A quarter is not enough for a model whose weights are not recorded."""
    assert checked(None, weights_of(10), NODES) == ()
    with pytest.raises(ForeignRecordError):
        checked(None, weights_of(10), NODES // 2)


@pytest.mark.parametrize(("percent", "same"), [(90, True), (89, False)])
def test_a_retrained_model_needs_weights_of_recorded_direction_or_names(
    percent: int, same: bool
) -> None:
    """Nearly all weights near the recorded ones, or nearly all names; the user is told."""
    weights = weights_of(percent, "w")
    if same:
        assert checked(None, weights) == RETRAINED
    else:
        with pytest.raises(ForeignRecordError):
            checked(None, weights)
    assert checked(None, weights, NODES) == RETRAINED


def test_a_retrained_model_whose_names_pair_in_part_is_refused() -> None:
    """It is a sibling, however near its weights are."""
    with pytest.raises(ForeignRecordError):
        checked(None, weights_of(100, "w"), NODES // 2)
    without_weights = WeightMatch(compared=1, differing=("w",))
    with pytest.raises(ForeignRecordError):
        checked(None, without_weights, NODES // 2)


def test_values_and_weights_of_a_retrained_model_decide_nothing() -> None:
    """They are those of another training."""
    with pytest.raises(ForeignRecordError):
        checked(values_of(1), weights_of(89, "w"))


def test_the_note_counts_and_has_the_last_example() -> None:
    """Of the weights that were compared."""
    [note] = checked(None, weights_of(95, "w", "v", compared=3))
    assert note.startswith(describe_retraining(2, 3, "v"))


def test_a_file_that_computes_the_same_is_not_retrained() -> None:
    """Its weights were folded into each other; in a quantised file values say nothing of that."""
    weights, values = weights_of(100, "w"), values_of(1)
    same = dataclasses.replace(values, rejects_mismatch=True)
    kept, actual = _resolve_retraining(weights, ComparedValues(same, ()))
    assert (kept.retrained, kept.differing, actual) == (False, (), same)
    unlike = dataclasses.replace(values, mode=QUANTISED, rejects_mismatch=False)
    assert _resolve_retraining(weights, ComparedValues(unlike, ())) == (weights, None)
    assert _resolve_retraining(weights, ComparedValues(None, ())) == (weights, None)
    equal = weights_of(100)
    assert _resolve_retraining(equal, ComparedValues(unlike, ())) == (equal, unlike)


Arrays = Mapping[str, np.ndarray]


def computed(feeds: Arrays) -> dict[str, np.ndarray]:
    """What two layers compute, made up: each value depends on the input and on its place."""
    x = next(iter(feeds.values()))
    names = [node.output[0] for node in two_layers().graph.node][1:]
    return {name: np.sin(x + n) * (n + 1) for n, name in enumerate(names)}


def record_with(model: onnx.ModelProto) -> Record:
    """The record of two layers with fingerprints of weights and of such values."""
    x = noise(8, 4)
    return with_fingerprints(two_layers_record(model), model, x, computed({"x": x}))


def observing(factor: float = 1) -> FakeObserver:
    """Computes the same in a renamed file, or so many times as much."""
    return FakeObserver(
        lambda feeds: {f"v_{name}": array * factor for name, array in computed(feeds).items()}
    )


def recognised(
    *kinds: EvidenceKind, observe: FakeObserver | None = None, change: float = 0.0
) -> Recognition:
    """A renamed file of two layers, its weights changed by so much noise, with its record."""
    model = two_layers()
    record = record_with(model)
    file = renamed(two_layers())
    for seed, weight in enumerate(file.graph.initializer):
        array = numpy_helper.to_array(weight)
        moved = array + np.float32(change) * noise(*array.shape, seed=seed + 50)
        weight.CopyFrom(numpy_helper.from_array(moved.astype(np.float32), weight.name))
    evidence = frozenset(kinds or EvidenceKind)
    sources = MatchSources(numpy_helper.to_array, observe, evidence=evidence)
    return recognise_file(file, record, "f.onnx", sources)


def kinds_of(recognition: Recognition) -> set[str]:
    return {claim.kind for kind in recognition.claims for claim in kind.by_node.values()}


def test_a_renamed_file_is_recognised_by_weights_and_structure() -> None:
    """Without running it; the initializers are known as parameters."""
    actual = recognised()
    assert kinds_of(actual) == {EvidenceKind.WEIGHTS, EvidenceKind.STRUCTURE}
    assert actual.notes == ()
    assert actual.parameters == {
        f"v_layer.{n}.fc.{name}": f"layer.{n}.fc.{name}" for n in (0, 1) for name in ("weight",)
    }
    assert len(actual.origins) > NODES // 2
    assert actual.graph.nodes[1].name == "n1"


def test_a_renamed_file_is_recognised_by_values() -> None:
    """And what was weighed is kept."""
    actual = recognised(EvidenceKind.VALUES, observe=observing())
    assert kinds_of(actual) == {EvidenceKind.VALUES}
    assert actual.parameters == {}


def test_weights_that_may_not_be_used_settle_nothing() -> None:
    """They still speak for the record."""
    actual = recognised(EvidenceKind.STRUCTURE)
    assert (kinds_of(actual), actual.parameters) == (set(), {})


def test_names_say_why_nodes_stay_open() -> None:
    """Before all other kinds; of settled nodes they say nothing."""
    actual = recognised()
    settled = {key for kind in actual.claims for key in kind.by_node}
    assert set(actual.claims[0].reasons) == set(actual.graph.keys) - settled
    assert set(actual.claims[0].reasons.values()) == {"the record has no op of its names"}
    assert (actual.claims[0].by_node, len(actual.claims)) == ({}, 5)


def test_names_that_may_not_be_used_say_nothing() -> None:
    """Not even why they do not tell."""
    actual = recognised(EvidenceKind.WEIGHTS)
    assert len(actual.claims) == 4
    assert not any(kind.reasons for kind in actual.claims)


def test_a_retrained_file_is_not_compared_in_half_precision() -> None:
    """Its values are put aside, with a note."""
    observe = observing(factor=2)
    actual = recognised(observe=observe, change=0.02)
    assert len(observe.runs) == 1
    assert EvidenceKind.VALUES not in kinds_of(actual)
    [note] = actual.notes
    assert note.startswith("the weights are not the recorded ones")


def test_notes_about_values_come_before_those_about_weights() -> None:
    """Both are kept."""
    failing = FakeObserver(computed, failures=9)
    actual = recognised(observe=failing, change=0.02)
    assert [note.partition(" ")[0] for note in actual.notes] == ["values", "the"]


def test_a_file_of_other_weights_and_names_is_refused() -> None:
    """Nothing of it is recorded."""
    with pytest.raises(ForeignRecordError, match=r"^f\.onnx: the record is of another model"):
        recognised(change=10)


def test_parameters_are_those_of_the_main_graph_that_are_known_for_sure() -> None:
    """Not constants of the exporter, nor a weight that may be one of two."""
    model = two_layers()
    record = record_with(model)
    first, second = (w for w in model.graph.initializer if len(w.dims) == 2)
    tied = msgspec.structs.replace(
        record.tensors[2], weight=weight_fingerprint(numpy_helper.to_array(first))
    )
    constant = msgspec.structs.replace(record.tensors[0], parameter=None)
    for changed in (tied, constant):
        tensors = tuple(changed if t.name == changed.name else t for t in record.tensors)
        other = msgspec.structs.replace(record, tensors=tensors)
        sources = MatchSources(numpy_helper.to_array)
        actual = recognise_file(renamed(two_layers()), other, "f", sources)
        assert f"v_{first.name}" not in actual.parameters
    assert second.name != first.name


def test_a_file_in_half_precision_is_compared_as_such() -> None:
    """A hundredth off is another value in full precision; the weights are the recorded ones."""
    observe = observing(factor=1.01)
    actual = recognised(EvidenceKind.VALUES, observe=observe)
    assert observe.thresholds == [
        FULL_PRECISION.infinity_threshold,
        HALF_PRECISION.infinity_threshold,
    ]
    assert kinds_of(actual) == {EvidenceKind.VALUES}


def test_values_alone_are_enough_to_recognise_a_file() -> None:
    """Its weights cannot be read, and its names are others."""
    record = record_with(two_layers())
    sources = MatchSources(observe=observing())
    actual = recognise_file(renamed(two_layers()), record, "f", sources)
    assert EvidenceKind.VALUES in kinds_of(actual)
