"""What a match holds besides modules: origins, weighed ops, parameters and notes."""

from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import numpy_helper

from modelexport.errors import FileProblem, ForeignRecordError, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.matching import RECORD, MatchSources, match_carried, match_file
from modelexport.rewriter.matching.alignment.scorer import ScoredOp
from modelexport.rewriter.matching.decisions import Candidate, Match
from modelexport.rewriter.matching.evidence.carried_hierarchy import WEIGHT_NAMES
from modelexport.rewriter.matching.matcher import _candidates, match_record
from tests.helpers.handmade import (
    TWO_LAYERS_MODULES,
    TWO_LAYERS_SCOPES,
    number_weights,
    parse,
    two_layers,
    two_layers_record,
)
from tests.helpers.recorded import evaluated, renamed, with_fingerprints
from tests.helpers.values import noise

NAMES = frozenset({EvidenceKind.NAMES})
PARAMETERS = {
    f"layer.{layer}.fc.{name}": f"layer.{layer}.fc.{name}"
    for layer in (0, 1)
    for name in ("weight", "bias")
}


def full_record() -> Record:
    """The record of two layers, with fingerprints of their weights and values."""
    model, x = two_layers(), noise(8, 4)
    return with_fingerprints(two_layers_record(model), model, x, evaluated(model, x))


def matched(path: Path, model: onnx.ModelProto, record: Record, options: MatchOptions) -> Match:
    """The match of a file that holds a model."""
    onnx.save(model, path)
    with OnnxContainer.open(path) as container:
        return match_file(container, container.skeleton(), record, options)


def test_a_file_is_opened_and_run(tmp_path: Path) -> None:
    """Its values tell every node that computes, without any name or weight."""
    options = MatchOptions(evidence=frozenset({EvidenceKind.VALUES}))
    match = matched(tmp_path / "f.onnx", renamed(two_layers()), full_record(), options)
    modules = [decision.module for decision in match.decisions]
    assert modules[1:-1] == list(TWO_LAYERS_SCOPES[1:-1])
    assert match.counts() == {EvidenceKind.VALUES: len(modules) - 2}


def test_a_file_is_read_as_options_say(tmp_path: Path) -> None:
    """Weights are read where the file may not run."""
    options = MatchOptions(evidence=frozenset({EvidenceKind.WEIGHTS}), run=False)
    match = matched(tmp_path / "f.onnx", renamed(two_layers()), full_record(), options)
    assert set(match.counts()) == {EvidenceKind.WEIGHTS}
    assert match.parameters == {f"v_{name}": name for name in PARAMETERS if name.endswith("weight")}
    assert match.notes == ()


def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    """As the user gave it."""
    path = tmp_path / "f.onnx"
    with pytest.raises(ForeignRecordError, match=f"^{path}: "):
        matched(path, renamed(two_layers()), two_layers_record(), MatchOptions(run=False))
    with pytest.raises(ForeignRecordError, match=r"^some file: "):
        match_record(renamed(two_layers()), two_layers_record(), "some file")


def test_a_match_of_the_traced_file_has_the_record_as_its_source() -> None:
    """With the recorded parameters and modules, and without notes."""
    record = full_record()
    match = match_record(two_layers(), record, "f", MatchSources(numpy_helper.to_array))
    assert (match.source, match.parameters, match.notes) == (RECORD, PARAMETERS, ())
    assert match.tree is record.tree


def test_other_weights_in_the_traced_file_are_noted() -> None:
    """The graph tells the modules all the same."""
    match = match_record(
        two_layers(), full_record(), "f", MatchSources(lambda w: numpy_helper.to_array(w) * 2)
    )
    [note] = match.notes
    assert note.startswith("the weights are not the recorded ones (2 of 2 compared")
    assert match.counts()[EvidenceKind.IDENTITY] == len(two_layers().graph.node) - 2


def test_identity_and_propagation_may_be_left_out() -> None:
    """Each speaks only where it is allowed."""
    record = two_layers_record()
    alone = MatchSources(evidence=frozenset({EvidenceKind.IDENTITY}))
    identity = match_record(two_layers(), record, "f", alone)
    assert set(identity.counts()) == {EvidenceKind.IDENTITY}
    assert identity.decisions[0].module is None
    names = match_record(two_layers(), record, "f", MatchSources(evidence=NAMES))
    assert set(names.counts()) == {EvidenceKind.NAMES}
    both = MatchSources(evidence=NAMES | {EvidenceKind.PROPAGATION})
    spread = match_record(two_layers(), record, "f", both)
    assert set(spread.counts()) == {EvidenceKind.NAMES, EvidenceKind.PROPAGATION}


def test_a_match_by_names_has_the_recorded_parameters() -> None:
    """Where no weight was recognised, their names are the recorded ones."""
    match = match_record(two_layers(), two_layers_record(), "f", MatchSources(evidence=NAMES))
    assert (match.source, match.parameters, match.notes) == (RECORD, PARAMETERS, ())
    assert [module.path for module in match.tree] == list(TWO_LAYERS_MODULES)


def test_constants_of_the_exporter_are_no_parameters() -> None:
    """The record names no parameter for them."""
    record = two_layers_record()
    first = msgspec.structs.replace(record.tensors[0], parameter=None)
    record = msgspec.structs.replace(record, tensors=(first, *record.tensors[1:]))
    match = match_record(two_layers(), record, "f")
    assert match.parameters == {k: v for k, v in PARAMETERS.items() if k != first.name}


def test_notes_of_the_recognition_are_kept() -> None:
    """Such as why values were not compared."""
    sources = MatchSources(
        numpy_helper.to_array, not_run_because="there is no time", evidence=NAMES | {"values"}
    )
    file = two_layers()
    file.graph.node[3].name = "other"
    [note] = match_record(file, full_record(), "f", sources).notes
    assert "there is no time" in note


def test_a_decision_names_its_recorded_ops() -> None:
    """Those whose work the node does, and those that were weighed for it."""
    sources = MatchSources(numpy_helper.to_array)
    match = match_record(renamed(two_layers()), full_record(), "f", sources)
    ops = [node.name for node in two_layers().graph.node]
    assert [d.origins for d in match.decisions[1:-1]] == [(name,) for name in ops[1:-1]]
    weighed = {d.name: d.candidates for d in match.decisions if d.candidates}
    assert weighed
    for name, candidates in weighed.items():
        taken = [c.op for c in candidates if c.verdict == "taken"]
        assert taken == [ops[int(name[1:])]]


OPS = (
    Op("", 0, "named", "Add", ("o0",), "m"),
    Op("", 1, "", "Mul", ("", "o1"), "m.n"),
    Op("0.then_branch", 2, "", "Sub", ()),
)
RECORD_OF_OPS = msgspec.structs.replace(two_layers_record(), ops=OPS)


def verdicts(*scores: float, taken: int | None = None) -> list[str]:
    """What became of ops of such scores."""
    record = msgspec.structs.replace(RECORD_OF_OPS, ops=OPS[:1] * len(scores))
    weighed = [ScoredOp(op, score) for op, score in enumerate(scores)]
    candidates = _candidates(record, weighed, () if taken is None else (taken,))
    return [candidate.verdict for candidate in candidates]


def test_weighed_ops_are_listed_the_best_first() -> None:
    """By the name of the node, else of an output, else by the place."""
    weighed = [ScoredOp(0, 1.0, 0.5), ScoredOp(1, 3.0), ScoredOp(2, 2.0, 0.25)]
    less = "its neighbours or weights speak less for it"
    assert _candidates(RECORD_OF_OPS, weighed, {1}) == (
        Candidate("o1", "Mul", "m.n", 3.0, None, "taken"),
        Candidate("0.then_branch#2", "Sub", None, 2.0, 0.25, less),
        Candidate("named", "Add", "m", 1.0, 0.5, less),
    )


@pytest.mark.parametrize(("count", "listed"), [(6, 6), (7, 6)])
def test_only_the_best_weighed_ops_are_listed(count: int, listed: int) -> None:
    """A node may have had many."""
    assert len(verdicts(*range(count))) == listed
    assert verdicts(*range(count), taken=count - 1)[0] == "taken"


def test_why_an_op_was_not_taken() -> None:
    """Others were better, nothing spoke for it, or it was one of several as good."""
    less = "its neighbours or weights speak less for it"
    assert verdicts(2, 1, taken=1) == ["as good, but another node does its work", "taken"]
    assert verdicts(2, 1) == ["as good as others, and nothing decides", less]
    assert verdicts(1) == ["as good as others, and nothing decides"]
    assert verdicts(0) == verdicts(-1) == ["nothing speaks for it"]


def test_a_match_with_what_the_file_carries_names_the_scheme() -> None:
    """With the modules, parameters and notes that the file has."""
    match, carried = match_carried(two_layers(), "f")
    assert match.source == carried.scheme == WEIGHT_NAMES
    assert match.parameters == carried.parameters
    assert match.notes == carried.notes
    assert tuple(match.tree) == carried.modules


def test_names_of_weights_leave_modules_out() -> None:
    """A node that passes a result on may be of a module without weights; a constant may not."""
    text = """g (float[2] x) => (float[2] y) {
        [k] k = Constant <value_float = 1.0> ()
        [p] a = Gemm (x, layer.weight, k)
        [i] y = Identity (a)
    }"""
    match, _ = match_carried(parse(text, {"layer.weight": (2, 2)}), "f")
    assert [decision.module for decision in match.decisions] == ["layer", "layer", None]


def test_a_damaged_file_is_named() -> None:
    """Its own entries are read."""
    model = two_layers()
    model.metadata_props.add(key=keys.MODULES, value="?")
    with pytest.raises(FileProblem, match=r"^f\.onnx: its module tree cannot be read"):
        match_carried(model, "f.onnx")


def test_propagation_follows_where_the_file_knows_all_modules() -> None:
    """Its scoped names leave no module out."""
    model = number_weights(two_layers())
    for node, name in zip(model.graph.node, ("", *"abcdefgh", ""), strict=True):
        node.name = name and f"/{name}/{node.op_type}"
    match, _ = match_carried(model, "f")
    assert (match.decisions[0].module, match.decisions[-1].module) == ("", "h")


def test_a_file_that_carries_nothing_is_named() -> None:
    """With what to do."""
    with pytest.raises(UsageError, match=r"^f\.onnx: the file carries no hierarchy of its own"):
        match_carried(number_weights(two_layers()), "f.onnx")
