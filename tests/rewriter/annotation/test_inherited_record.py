"""Carrying a hierarchy over from an annotated file to what became of it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from agreement.judging import Verdict, judge
from agreement.scrambling import scramble
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import ForeignRecordError, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Exporter, Inject
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import MatchOptions, annotate
from modelexport.rewriter.annotation.inherited_record import INHERITED, inherited_record
from modelexport.rewriter.matching import OURS
from modelexport.support.progress import reporting_steps_to
from tests.helpers.commands import Run
from tests.helpers.descendants import TOOLS, ZooModel
from tests.helpers.handmade import record_of, two_layers, two_layers_record
from tests.helpers.traced import TracedModels

CASES = [
    pytest.param(name, id=name)
    for name, fixture in FIXTURES.items()
    if Exporter.TORCHSCRIPT not in fixture.refused_by
]


@pytest.fixture(scope="module")
def zoo_model(
    request: pytest.FixtureRequest,
    traced: TracedModels,
    tmp_path_factory: pytest.TempPathFactory,
) -> ZooModel:
    """The model of this case, traced and annotated."""
    result = traced(request.param, Exporter.TORCHSCRIPT)
    model = ZooModel(request.param, result, tmp_path_factory.mktemp(request.param))
    annotate(result.onnx_path, result.record, model.folder / "annotated.onnx")
    return model


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("zoo_model", CASES, indirect=True, scope="module")
def test_descendants_get_the_tags_of_the_original(zoo_model: ZooModel, tool: str) -> None:
    """Without the record a descendant gets the tags that it gets with it; none is wrong."""
    path, truth = zoo_model.rewritten(tool)
    record = zoo_model.traced.record
    by_record = annotate(path, record, None)
    inherited = annotate(path, None, None, inherit_from=zoo_model.folder / "annotated.onnx")
    assert inherited.source == INHERITED
    assert [d.tag for d in inherited.decisions] == [d.tag for d in by_record.decisions]
    wrong = [
        decision
        for decision in inherited.decisions
        if (true := truth.modules.get(decision.key)) is not None
        and judge(true, decision.module, decision.covers, record.tree) is Verdict.WRONG
    ]
    assert wrong == []
    assert truth.modules


def renamed(folder: Path) -> Path:
    onnx.save(scramble(two_layers()), folder / "renamed.onnx")
    return folder / "renamed.onnx"


def tags(path: Path) -> list[str | None]:
    entries_of_nodes = [
        {e.key: e.value for e in n.metadata_props} for n in onnx.load(path).graph.node
    ]
    return [entries.get(keys.TAG) for entries in entries_of_nodes]


def test_the_file_that_was_annotated_is_recognised_at_once(annotated: Path) -> None:
    """Its own plain file has its digest: nothing needs to be compared."""
    report = annotate(annotated.with_name("plain.onnx"), None, None, inherit_from=annotated)
    assert set(report.evidence) == {"identity"}
    assert [d.tag for d in report.decisions] == tags(annotated)


def test_a_record_in_memory_says_what_the_file_carries(annotated: Path) -> None:
    """Modules, operators, weights, the inputs that were made, and what came of them."""
    inherited = inherited_record(annotated, TagRules(), MatchOptions())
    recorded = two_layers_record()
    assert inherited.modules == recorded.modules
    assert inherited.digest == recorded.digest
    assert inherited.source.why == (OURS,)
    assert [(op.name, op.inputs, op.outputs) for op in inherited.ops] == [
        (op.name, op.inputs, op.outputs) for op in recorded.ops
    ]
    assert {t.name: t.parameter for t in inherited.tensors} == {
        t.name: t.parameter for t in recorded.tensors
    }
    assert inherited.tensors
    assert None not in {tensor.weight for tensor in inherited.tensors}
    assert inherited.probe.missing is None
    assert [op.name for op in inherited.ops if not op.values] == []


def test_a_chain_of_files_needs_one_record_only(annotated: Path, tmp_path: Path) -> None:
    """What inherited its hierarchy hands it on."""
    annotate(renamed(tmp_path), None, tmp_path / "second.onnx", inherit_from=annotated)
    report = annotate(tmp_path / "plain.onnx", None, None, inherit_from=tmp_path / "second.onnx")
    assert [d.tag for d in report.decisions] == tags(annotated)


@pytest.mark.parametrize("inject", [Inject.NAMES, Inject.FUNCTIONS, Inject.ATTRIBUTES])
def test_other_injections_are_handed_on_too(
    annotated: Path, tmp_path: Path, inject: Inject
) -> None:
    """A file with hierarchical names, with functions or with attributes is as good."""
    kinds = (Inject.METADATA, inject)
    annotate(tmp_path / "plain.onnx", two_layers_record(), tmp_path / "i.onnx", inject=kinds)
    report = annotate(renamed(tmp_path), None, None, inherit_from=tmp_path / "i.onnx")
    assert [d.tag for d in report.decisions] == tags(annotated)


def test_nothing_is_run_unless_it_may_be(annotated: Path, tmp_path: Path) -> None:
    """With `run=False` weights and structure do the work, and the report says so."""
    inherited = inherited_record(annotated, TagRules(), MatchOptions(run=False))
    assert inherited.probe.missing is not None
    assert not any(op.values for op in inherited.ops)
    report = annotate(
        renamed(tmp_path), None, None, inherit_from=annotated, matching=MatchOptions(run=False)
    )
    assert "values" not in report.evidence
    assigned = {d.tag for d in report.decisions if d.tag is not None}
    assert assigned <= set(tags(annotated))
    assert assigned


def test_a_file_that_cannot_be_run_is_matched_by_the_rest(tmp_path: Path) -> None:
    """An operator that no runtime has: the record says so, names and weights do the work."""
    model = two_layers()
    model.opset_import.append(onnx.helper.make_opsetid("nobody.has", 1))
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type, node.domain = "Oddity", "nobody.has"
    record = record_of(
        model,
        {m.path: m.class_name for m in two_layers_record().modules},
        [op.module for op in two_layers_record().ops],
    )
    onnx.save(model, tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", record, tmp_path / "annotated.onnx")
    inherited = inherited_record(tmp_path / "annotated.onnx", TagRules(), MatchOptions())
    assert inherited.probe.missing is not None
    assert "Oddity" in inherited.probe.missing
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, tmp_path / "nameless.onnx")
    report = annotate(
        tmp_path / "nameless.onnx", None, None, inherit_from=tmp_path / "annotated.onnx"
    )
    assert [d.tag for d in report.decisions] == tags(tmp_path / "annotated.onnx")


def test_a_limit_of_memory_changes_no_tag(annotated: Path, tmp_path: Path) -> None:
    """A byte is less than any value takes: the file runs once for each value."""
    matching = MatchOptions(memory=1)
    steps: list[str] = []
    with reporting_steps_to(steps.append):
        report = annotate(renamed(tmp_path), None, None, inherit_from=annotated, matching=matching)
    free = annotate(renamed(tmp_path), None, None, inherit_from=annotated)
    assert report.decisions == free.decisions
    assert any(decision.tag for decision in report.decisions)
    assert any("times: its values take more than --memory" in step for step in steps)


def test_own_inputs_may_be_given(annotated: Path, tmp_path: Path) -> None:
    """An .npz holds what both files are run on; what it lacks is named."""
    array = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    np.savez(tmp_path / "given.npz", x=array)
    matching = MatchOptions(probe=tmp_path / "given.npz")
    inherited = inherited_record(annotated, TagRules(), matching)
    assert [(p.name, p.to_array().tolist()) for p in inherited.probe.inputs] == [
        ("x", array.tolist())
    ]
    report = annotate(renamed(tmp_path), None, None, inherit_from=annotated, matching=matching)
    assert [d.tag for d in report.decisions] == tags(annotated)
    np.savez(tmp_path / "given.npz", other=array)
    with pytest.raises(UsageError, match="lacks the inputs x"):
        inherited_record(annotated, TagRules(), matching)


def test_tags_that_lost_something_are_not_refined(annotated: Path, tmp_path: Path) -> None:
    """Cut tags are handed on under the same rules, and refused under others."""
    rules = TagRules(depth=1)
    annotate(tmp_path / "plain.onnx", two_layers_record(), tmp_path / "cut.onnx", rules=rules)
    with pytest.raises(UsageError, match="--depth 1"):
        annotate(renamed(tmp_path), None, None, inherit_from=tmp_path / "cut.onnx")
    report = annotate(
        tmp_path / "renamed.onnx", None, None, inherit_from=tmp_path / "cut.onnx", rules=rules
    )
    assert [d.tag for d in report.decisions] == tags(tmp_path / "cut.onnx")
    assert tags(tmp_path / "cut.onnx") != tags(annotated)


def test_another_model_inherits_nothing(annotated: Path, tmp_path: Path) -> None:
    """A file of another size is refused, and nothing is written."""
    onnx.save(scramble(two_layers(width=6)), tmp_path / "other.onnx")
    with pytest.raises(ForeignRecordError):
        annotate(tmp_path / "other.onnx", None, tmp_path / "o.onnx", inherit_from=annotated)
    assert not (tmp_path / "o.onnx").exists()


def test_the_command_takes_an_annotated_file(run: Run, annotated: Path, tmp_path: Path) -> None:
    """`annotate --from` writes the tags, and says where they come from."""
    out = tmp_path / "out.onnx"
    code, printed, err = run(
        "annotate",
        renamed(tmp_path),
        "--from",
        annotated,
        "-o",
        out,
        "--output-format",
        "json",
    )
    assert (code, err) == (0, "")
    assert tags(out) == tags(annotated)
    assert json.loads(printed)["source"] == INHERITED


def test_what_does_not_fit_together_is_refused(run: Run, annotated: Path, tmp_path: Path) -> None:
    """A record or a reference beside it, a file without hierarchy, or the file itself as output."""
    plain, out = renamed(tmp_path), tmp_path / "out.onnx"
    for more, named in (
        (["--from", annotated, "--record", "r.json"], "--from"),
        (["--from", annotated, "--reference", plain], "--reference"),
        (["--from", annotated, "--no-run", "--probe", "p.npz"], "--no-run"),
        (["--from", plain], str(plain)),
        (["--from", tmp_path / "absent.onnx"], "absent.onnx"),
        (["--from", annotated, "--force", "-o", annotated], "input"),
    ):
        target = [] if "-o" in more else ["-o", out]
        code, printed, err = run("annotate", plain, *more, *target)
        assert (code, printed, err.count("\n")) == (2, "", 1), err
        assert named in err
    assert not out.exists()
