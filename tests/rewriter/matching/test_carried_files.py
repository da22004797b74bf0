"""Files that carry their hierarchy in part: without tags, by names, with modules called again."""

from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.inliner
import pytest
from onnxscript import optimizer

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Exporter, Inject
from modelexport.rewriter import annotate, validate
from modelexport.rewriter.matching import match_carried
from modelexport.rewriter.matching.evidence.tree_names import TAGS_ARE_LOST
from tests.helpers.commands import Run
from tests.helpers.handmade import number_weights, two_layers, two_layers_record
from tests.helpers.traced import TracedModels

NAMES = ["bert", "resnet", "vit", "tied_weights", "shared_module", "nested_sequential"]


def without_tags(path: Path, target: Path) -> Path:
    """A copy whose nodes have no metadata, as a version converter leaves it."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("exporter", [Exporter.DYNAMO, Exporter.TORCHSCRIPT])
@pytest.mark.parametrize("name", NAMES)
def test_what_names_tell_is_true(
    traced: TracedModels, name: str, exporter: Exporter, tmp_path: Path
) -> None:
    """No tag is a guess beyond the tree; none of them is called a fault; the rest is explained.

    A node that an exporter fused may have the name of one of the modules whose work it does.
    """
    done = traced(name, exporter)
    before = annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    lost = without_tags(tmp_path / "a.onnx", tmp_path / "lost.onnx")
    report = annotate(lost, None, None)
    pairs = list(zip(report.decisions, before.decisions, strict=True))
    told = [(d, truth) for d, truth in pairs if d.evidence == "carried"]
    assert told
    wrong = [(d.name, d.module, t.module) for d, t in told if d.module not in {t.module, *t.covers}]
    assert wrong == []
    assert TAGS_ARE_LOST in report.notes
    assert [f for f in validate(lost).faults if f.check == "tags"] == []


INLINERS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "onnx": onnx.inliner.inline_local_functions,
    "onnxscript": optimizer.optimize,
}


@pytest.mark.parametrize("inline", INLINERS)
@pytest.mark.parametrize("name", ["bert", "vit"])
def test_tags_of_inlined_functions(
    traced: TracedModels, name: str, inline: str, tmp_path: Path
) -> None:
    """Relative tags are those of their calls, or open; never those of another call."""
    done = traced(name, Exporter.DYNAMO)
    annotate(done.onnx_path, done.record, tmp_path / "f.onnx", inject=[Inject.FUNCTIONS])
    onnx.save(INLINERS[inline](onnx.load(tmp_path / "f.onnx")), tmp_path / "i.onnx")
    report = annotate(tmp_path / "i.onnx", None, tmp_path / "a.onnx")
    truth = annotate(tmp_path / "i.onnx", done.record, None)
    pairs = list(zip(report.decisions, truth.decisions, strict=True))
    told = [(d, t) for d, t in pairs if d.evidence == "identity" and t.module is not None]
    assert told
    assert [(d.name, d.module, t.module) for d, t in told if d.module != t.module] == []
    assert report.resolved >= 0.9 * report.nodes


def test_a_file_with_the_tree_and_nothing_else(tmp_path: Path, run: Run) -> None:
    """The fault names the way back."""
    model = number_weights(two_layers())
    onnx.save(model, tmp_path / "plain.onnx")
    record = two_layers_record()
    annotate(
        tmp_path / "plain.onnx",
        record,
        tmp_path / "a.onnx",
    )
    lost = onnx.load(without_tags(tmp_path / "a.onnx", tmp_path / "lost.onnx"))
    for entry in list(lost.metadata_props):
        if entry.key == keys.PARAMETERS:
            lost.metadata_props.remove(entry)
    onnx.save(lost, tmp_path / "lost.onnx")
    out = run("validate", tmp_path / "lost.onnx").out
    assert "its tags are lost: annotate it with --record, or --from an annotated file" in out


@pytest.mark.parametrize("name", ["called_twice", "resnet", "bert", "nested_sequential", "unet"])
def test_traced_models_have_the_modules_of_the_record(traced: TracedModels, name: str) -> None:
    """Without a record, no module is invented for a further call."""
    done = traced(name, Exporter.TORCHSCRIPT)
    result, _ = match_carried(onnx.load(done.onnx_path), "f")
    modules = {decision.module for decision in result.decisions} - {None}
    assert modules
    assert modules <= {module.path for module in done.record.modules}


def test_names_that_annotating_gave_tell_the_modules(plain: Path, tmp_path: Path) -> None:
    """A file that has nothing but these names is annotated again without a record."""
    first = annotate(plain, two_layers_record(), tmp_path / "named.onnx", inject=["names"])
    again = annotate(tmp_path / "named.onnx", None, tmp_path / "again.onnx")
    assert [d.module for d in again.decisions] == [d.module for d in first.decisions]
    names = [node.name for node in onnx.load(plain).graph.node]
    assert [d.name for d in again.decisions] == names
