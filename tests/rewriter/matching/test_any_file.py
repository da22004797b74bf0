"""Annotating files that `trace` did not write: renamed, reordered, optimised, from elsewhere."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, version_converter

from agreement.carrying import by_names
from agreement.judging import Verdict, judge
from agreement.kept import ORT_ALL, ORT_BASIC, ORT_EXTENDED, REORDERED, SCRAMBLED
from agreement.lossy import (
    BFLOAT16_AND_BACK,
    DYNAMIC,
    FOUR_BITS,
    HALF_AND_BACK,
    HALF_PRECISION,
    PREPARED,
    QDQ,
)
from agreement.steps import Conversion, Step
from agreement.store import NotPossible
from fixtures_gen.truth import Truth, feeds, truth
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import ForeignRecordError, RecordError, UsageError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter import AnnotateReport, MatchOptions, annotate, find_decisions
from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.traced import TracedModels

MODELS = ("bert", "gpt2", "llama", "t5", "vit", "resnet", "lstm_stack", "conv_batchnorm")
OTHER_EXPORTER = {name: next(o for o in EXPORTERS if o != name) for name in EXPORTERS}
ENOUGH = 0.995


@dataclass(frozen=True)
class Subject:
    """A fixture's plain file with its record, its truth and its feeds."""

    name: str
    path: Path
    record: Record
    truth: Truth
    feeds: dict[str, np.ndarray]

    def truth_of(self, path: Path) -> Truth:
        """The truth of a file whose numbers are the traced one's."""
        return self.truth if path == self.path else truth(*FIXTURES[self.name].build(), path)

    def step(self, step: Step, source: Path | None = None) -> Path:
        source = source or self.path
        target = source.with_name(f"{source.stem}-{abs(hash(step.name))}.onnx")
        if not target.exists():
            step.apply(Conversion(source, target, self.feeds))
        return target


Subjects = Callable[[str, str], Subject]


@pytest.fixture(scope="module")
def subject(traced: TracedModels, tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """Gives the subject that an exporter makes of a model of the zoo."""
    folder = tmp_path_factory.mktemp("any")

    @cache
    def make(name: str, exporter: str) -> Subject:
        model, inputs = FIXTURES[name].build()
        result = traced(name, exporter)
        path = Path(shutil.copy(result.onnx_path, folder))
        inputs_by_name = feeds(model, inputs, onnx.load(path).graph)
        return Subject(name, path, result.record, truth(model, inputs, path), inputs_by_name)

    return make


def decide(path: Path, record: Record, **options: object) -> AnnotateReport:
    return annotate(path, record, None, matching=MatchOptions(**options))


def verdicts(report: AnnotateReport, known: Truth, record: Record) -> list[Verdict]:
    return [
        judge(known.modules[decision.key], decision.module, decision.covers, record.tree)
        for decision in report.decisions
        if decision.key in known.modules
    ]


def share_right(actual: list[Verdict]) -> float:
    good = sum(verdict in {Verdict.EXACT, Verdict.IN_COVERS} for verdict in actual)
    return good / len(actual)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", MODELS)
def test_values_tell_where_nothing_is_called_as_it_was(
    subject: Subjects, name: str, exporter: str
) -> None:
    """With all names scrambled and the nodes in another order, every node finds its module."""
    start = subject(name, exporter)
    scrambled = start.step(SCRAMBLED)
    report = decide(scrambled, start.record)
    actual = verdicts(report, start.truth, start.record)
    assert {Verdict.WRONG, Verdict.UNRESOLVED}.isdisjoint(actual)
    assert share_right(actual) >= ENOUGH
    assert EvidenceKind.NAMES not in report.evidence
    assert report.evidence[EvidenceKind.VALUES] > 0


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ["bert", "t5", "llama"])
def test_a_file_of_the_other_exporter(subject: Subjects, name: str, exporter: str) -> None:
    """A record of one exporter's file tells the modules of the other's, its names scrambled."""
    record = subject(name, exporter).record
    other = subject(name, OTHER_EXPORTER[exporter])
    actual = verdicts(decide(other.step(SCRAMBLED), record), other.truth, record)
    assert {Verdict.WRONG, Verdict.UNRESOLVED}.isdisjoint(actual)
    assert share_right(actual) >= ENOUGH


@pytest.mark.parametrize("level", [ORT_BASIC, ORT_EXTENDED, ORT_ALL], ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["bert", "gpt2", "resnet"])
def test_an_optimised_file(subject: Subjects, name: str, level: Step) -> None:
    """Fused nodes cover what they do; nobody lists which operators are fused."""
    start = subject(name, "dynamo")
    path = start.step(SCRAMBLED, start.step(level))
    known = moved(start.truth_of(start.step(level)), path)
    actual = verdicts(decide(path, start.record), known, start.record)
    assert {Verdict.WRONG, Verdict.UNRESOLVED}.isdisjoint(actual)
    assert share_right(actual) >= ENOUGH


def moved(known: Truth, path: Path) -> Truth:
    """Scrambling keeps the places of nodes."""
    assert len(known.op_types) == sum(1 for _ in walk_nodes(onnx.load(path)))
    return known


@pytest.mark.parametrize("name", ["bert", "t5"])
def test_no_run_decides_by_weights_and_structure(subject: Subjects, name: str) -> None:
    """`--no-run` never executes the file, and says that values were not compared."""
    start = subject(name, "torchscript")
    report = decide(start.step(SCRAMBLED), start.record, run=False)
    assert EvidenceKind.VALUES not in report.evidence
    assert any("--no-run" in note for note in report.notes)
    actual = verdicts(report, start.truth, start.record)
    assert Verdict.WRONG not in actual
    assert share_right(actual) >= ENOUGH


@pytest.mark.parametrize(
    "step",
    [HALF_PRECISION, HALF_AND_BACK, BFLOAT16_AND_BACK, DYNAMIC, QDQ, FOUR_BITS],
    ids=lambda step: step.name,
)
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_rounded_files(subject: Subjects, name: str, step: Step) -> None:
    """Weights rounded to 16, 8 and 4 bits are recognised, and what lies between follows."""
    start = subject(name, "dynamo")
    source = start.step(PREPARED) if step is QDQ else start.path
    try:
        rounded = start.step(step, source)
    except NotPossible as error:
        pytest.fail(f"the tool cannot make it: {error}")
    report = decide(start.step(SCRAMBLED, rounded), start.record, reference=start.path)
    known = by_names(onnx.load(source), start.truth_of(source), onnx.load(rounded))
    actual = verdicts(report, known, start.record)
    assert len(actual) > len(start.truth.modules) // 2
    assert {Verdict.WRONG, Verdict.UNRESOLVED}.isdisjoint(actual)
    assert share_right(actual) >= 0.99


@pytest.mark.parametrize("step", [HALF_PRECISION, HALF_AND_BACK], ids=lambda step: step.name)
@pytest.mark.parametrize("name", ["conv_batchnorm", "resnet"])
def test_rounded_weights_in_another_order(subject: Subjects, name: str, step: Step) -> None:
    """Onnxruntime reorders the weights of convolutions for the machine: few are recognised."""
    start = subject(name, "dynamo")
    rounded = start.step(step)
    optimised = start.step(ORT_ALL, rounded)
    by_name = decide(optimised, start.record).decisions
    report = decide(start.step(SCRAMBLED, optimised), start.record)
    assert report.resolved == report.nodes
    known = {n: d.module for n, d in enumerate(by_name) if d.evidence is EvidenceKind.NAMES}
    assert known
    assert {n: report.decisions[n].module for n in known} == known
    assert not any("trained" in note for note in report.notes)


@pytest.mark.parametrize("name", ["bert", "gpt2", "vit"])
def test_a_record_of_another_model_is_refused(subject: Subjects, name: str) -> None:
    """No foreign file gets a tag, whatever it is called."""
    start = subject(name, "dynamo")
    others = {"bert", "gpt2", "vit", "resnet"} - {name}
    assert others
    for other in others:
        with pytest.raises(ForeignRecordError, match="the record is of another model"):
            decide(subject(other, "dynamo").step(SCRAMBLED), start.record)


def retrained(path: Path, target: Path, amount: float) -> Path:
    """The same model with other weights; the very same graph."""
    model = onnx.load(path)
    random = np.random.default_rng(0)
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.ndim:
            noise = random.standard_normal(values.shape) * amount * max(values.std(), 0.1)
            changed = (values + noise).astype(np.float32)
            weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    # one node more, so that the file is not recognised as the traced one
    first = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Identity", [first], ["extra"], "extra"))
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("amount", [0.05, 10.0])
def test_other_weights_are_said_and_tag_nothing_wrongly(
    subject: Subjects, tmp_path, amount: float
) -> None:
    """A model that was trained further keeps its names: these carry the tags, and it is said."""
    start = subject("bert", "dynamo")
    report = decide(retrained(start.path, tmp_path / "new.onnx", amount), start.record)
    assert any("weights are not the recorded ones" in note for note in report.notes)
    assert EvidenceKind.VALUES not in report.evidence
    assert Verdict.WRONG not in verdicts(report, start.truth, start.record)


def test_other_weights_without_names_are_refused(subject: Subjects, tmp_path) -> None:
    """Without names, weights that are nothing like the recorded ones tell nothing."""
    start = subject("bert", "dynamo")
    new = start.step(SCRAMBLED, retrained(start.path, tmp_path / "new.onnx", 10.0))
    with pytest.raises(ForeignRecordError):
        decide(new, start.record)


def test_a_file_that_cannot_run_says_so(subject: Subjects, tmp_path) -> None:
    """A custom operator without its library: weights and structure decide, with a note."""
    start = subject("bert", "dynamo")
    model = onnx.load(start.step(SCRAMBLED))
    last = model.graph.node[-1]
    model.graph.node.append(
        helper.make_node("Mystery", [last.output[0]], ["mystery"], domain="nobody.knows")
    )
    model.opset_import.append(helper.make_opsetid("nobody.knows", 1))
    onnx.save(model, tmp_path / "custom.onnx")
    report = decide(tmp_path / "custom.onnx", start.record)
    assert any("values were not compared" in note and "Mystery" in note for note in report.notes)
    actual = verdicts(report, start.truth, start.record)
    assert share_right(actual) >= ENOUGH


def test_evidence_can_be_limited(subject: Subjects) -> None:
    """Only the kinds that are allowed settle anything."""
    start = subject("gpt2", "dynamo")
    path = start.step(SCRAMBLED)
    for kinds in (
        {EvidenceKind.VALUES},
        {EvidenceKind.WEIGHTS, EvidenceKind.STRUCTURE},
        {EvidenceKind.NAMES},
    ):
        report = decide(path, start.record, evidence=frozenset(kinds))
        assert set(report.evidence) <= kinds
    with pytest.raises(UsageError, match="Unknown evidence kind"):
        decide(path, start.record, evidence=frozenset({"magic"}))


def test_inputs_of_ones_own_need_the_plain_file(subject: Subjects, tmp_path) -> None:
    """Own inputs run through both files; the record alone knows nothing about them."""
    start = subject("bert", "dynamo")
    other = {name: np.flip(array, axis=1).copy() for name, array in start.feeds.items()}
    np.savez(tmp_path / "own.npz", **other)
    path = start.step(SCRAMBLED)
    with pytest.raises(UsageError, match="--reference"):
        decide(path, start.record, probe=tmp_path / "own.npz")
    report = decide(path, start.record, probe=tmp_path / "own.npz", reference=start.path)
    assert report.evidence[EvidenceKind.VALUES] > 0
    assert share_right(verdicts(report, start.truth, start.record)) >= ENOUGH
    with pytest.raises(RecordError, match="not the plain file"):
        decide(path, start.record, reference=path)


def test_an_open_node_can_be_explained(subject: Subjects) -> None:
    """Each decision names the recorded ops whose work a node does, and what was weighed."""
    start = subject("bert", "dynamo")
    report = decide(start.step(SCRAMBLED), start.record)
    names = {op.name for op in start.record.ops}
    settled = [d for d in report.decisions if d.evidence == EvidenceKind.VALUES]
    assert settled
    assert {origin for decision in settled for origin in decision.origins} <= names
    weighed = [d for d in report.decisions if d.candidates]
    assert weighed
    for decision in weighed:
        assert {c.op for c in decision.candidates} <= names
        assert find_decisions(report, f"#{decision.position}") == [decision]
    with pytest.raises(UsageError, match="no node is called"):
        find_decisions(report, "nobody")


def test_another_opset(subject: Subjects, tmp_path) -> None:
    """A file that the version converter wrote is recognised without its names."""
    start = subject("vit", "torchscript")
    old = onnx.load(start.path)
    new = version_converter.convert_version(old, old.opset_import[0].version + 1)
    onnx.save(new, tmp_path / "new.onnx")
    path = start.step(SCRAMBLED, tmp_path / "new.onnx")
    known = start.truth_of(tmp_path / "new.onnx")
    actual = verdicts(decide(path, start.record), known, start.record)
    assert {Verdict.WRONG, Verdict.UNRESOLVED}.isdisjoint(actual)
    assert share_right(actual) >= ENOUGH


def test_reordered_nodes(subject: Subjects) -> None:
    """Another order in which the nodes can run changes nothing."""
    start = subject("llama", "dynamo")
    path = start.step(REORDERED)
    report = decide(path, start.record)
    places = {node.output[0]: key for key, node in walk_nodes(onnx.load(start.path))}
    wrong = []
    for decision, (_, node) in zip(report.decisions, walk_nodes(onnx.load(path)), strict=True):
        true = start.truth.modules.get(places[node.output[0]])
        if true is not None:
            wrong.append(
                judge(true, decision.module, decision.covers, start.record.tree)
                is not Verdict.EXACT
            )
    assert wrong
    assert not any(wrong)


def test_a_record_is_read_back_as_it_was(tmp_path: Path) -> None:
    """What was recorded of values, weights and constants survives the file."""
    model, inputs = FIXTURES["gpt2"].build()
    result = trace(model, inputs, tmp_path / "m.onnx", exporter="torchscript")
    assert result.record.ops
    assert read_record(result.record_path) == result.record


@pytest.mark.parametrize("name", MODELS)
def test_weights_named_by_module_tell_without_a_record(subject: Subjects, name: str) -> None:
    """With no record and no node names, a node that reads a parameter is of that one's module."""
    start = subject(name, "dynamo")
    path = start.path.with_name(f"{name}-nameless.onnx")
    model = onnx.load(start.path)
    for _, node in walk_nodes(model):
        node.name = ""
    onnx.save(model, path)
    report = annotate(path, None, None)
    parameters = {t.name: t.parameter for t in start.record.tensors if t.parameter}
    owned = {
        op: {start.record.tree.owner(parameters[i]) for i in op.inputs if i in parameters}
        for op in start.record.ops
    }
    expected = {
        (op.graph, op.index): owners.pop() for op, owners in owned.items() if len(owners) == 1
    }
    said = {decision.key: decision for decision in report.decisions}
    read = {key: said[key].module for key in expected if said[key].evidence == EvidenceKind.CARRIED}
    assert read == {key: expected[key] for key in read}
    assert Verdict.WRONG not in verdicts(report, start.truth, start.record)
    assert read
