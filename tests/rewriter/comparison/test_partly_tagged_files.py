"""A file whose nodes are tagged in part: the rest is matched, or the note says how to place it."""

from collections import Counter
from pathlib import Path

import onnx
import pytest

from agreement.lossy import DYNAMIC
from agreement.steps import Conversion
from fixtures_gen.truth import feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy import keys
from modelexport.hierarchy.record import Record
from modelexport.rewriter import annotate, compare
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.traced import TracedModels


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Record]:
    """An annotated file, and a copy in which the nodes of a layer have lost their tags."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    record = two_layers_record()
    annotate(tmp_path / "plain.onnx", record, tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    for node in model.graph.node[1:5]:
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "b.onnx")
    return tmp_path / "a.onnx", tmp_path / "b.onnx", record


@pytest.mark.parametrize("with_record", [True, False])
@pytest.mark.parametrize("swapped", [True, False])
def test_the_rest_is_matched(
    files: tuple[Path, Path, Record], with_record: bool, swapped: bool
) -> None:
    """With the record, or with the file that has all its tags, on either side."""
    whole, part, record = files
    pair = (part, whole) if swapped else (whole, part)
    result = compare(*pair, record=record if with_record else None)
    source = "the record" if with_record else whole.name
    assert result.same
    assert result.notes == [f"4 of 4 nodes of {part.name} without a tag were matched with {source}"]
    assert (result.a.untagged, result.b.untagged) == ({}, {})


def test_without_a_source_the_note_says_how(files: tuple[Path, Path, Record]) -> None:
    """A file cannot place its own nodes."""
    _, part, _ = files
    result = compare(part, part)
    assert result.b.untagged == dict(Counter(n.op_type for n in onnx.load(part).graph.node[1:5]))
    assert len(result.notes) == 2
    for note in result.notes:
        assert note.startswith(f"4 nodes of {part.name} have no tag and are outside any module")
        assert "--record" in note


def test_tags_of_the_file_stay(files: tuple[Path, Path, Record]) -> None:
    """Only nodes without a tag are matched."""
    whole, part, record = files
    model = onnx.load(part)
    for entry in model.graph.node[5].metadata_props:
        if entry.key == keys.TAG:
            entry.value = "/Net/layer.0"
    onnx.save(model, part)
    rows = {row.tag: row for row in compare(whole, part, record=record).changes()}
    assert rows["/Net/layer.0"].nodes_b == rows["/Net/layer.0"].nodes_a + 1


@pytest.mark.parametrize("with_record", [True, False])
def test_a_quantised_copy_is_placed_like_an_annotated_one(
    traced: TracedModels, tmp_path: Path, with_record: bool
) -> None:
    """As if it had been annotated again before it was compared."""
    done = traced("bert", "torchscript")
    annotated, quantised = tmp_path / "a.onnx", tmp_path / "q.onnx"
    annotate(done.onnx_path, done.record, annotated)
    inputs = feeds(*FIXTURES["bert"].build(), onnx.load(annotated).graph)
    DYNAMIC.apply(Conversion(annotated, quantised, inputs))
    annotate(quantised, done.record, tmp_path / "again.onnx")
    given = done.record if with_record else None
    result = compare(annotated, quantised, record=given)
    expected = compare(annotated, tmp_path / "again.onnx")
    assert result.b.untagged == expected.b.untagged
    assert [(r.tag, r.nodes_b) for r in result.modules] == [
        (r.tag, r.nodes_b) for r in expected.modules
    ]
