"""What validate finds, and what it lets pass."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.errors import RecordError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject, TagStyle
from modelexport.hierarchy.record import encode_record
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import annotate, validate
from tests.helpers.handmade import (
    TWO_LAYERS_MODULES,
    TWO_LAYERS_SCOPES,
    record_of,
    two_layers,
    two_layers_record,
)


def retag(path: Path, node: str, tag: str, key: str = keys.TAG) -> None:
    model = onnx.load(path)
    for candidate in model.graph.node:
        for entry in candidate.metadata_props:
            if candidate.name == node and entry.key == key:
                entry.value = tag
    onnx.save(model, path)


def test_a_good_file_passes_every_check(plain: Path, annotated: Path) -> None:
    """All checks run and none finds anything."""
    validation = validate(annotated, record=two_layers_record(), reference=plain, consistency=True)
    assert validation.faults == []
    assert validation.checks == ["tags", "consistency", "checker", "runs", "reference"]
    assert validation.tagged == validation.nodes


def test_the_file_alone_is_enough(annotated: Path) -> None:
    """Without record and reference, inputs are generated and the carried tree is used."""
    assert validate(annotated, consistency=True).good


def test_a_plain_file_has_no_tags(plain: Path) -> None:
    """A file that was never annotated is not valid."""
    assert [f.message for f in validate(plain).faults] == ["no node carries a tag"]


@pytest.mark.parametrize("tag", ["no/slash", "/Net//fc", "/Net/layer.7", "/Other"])
def test_bad_tags_are_found(annotated: Path, tag: str) -> None:
    """A malformed tag, and one of no module, are faults of the node that has them."""
    retag(annotated, "relu1", tag)
    faults = validate(annotated).faults
    assert [(f.check, f.node) for f in faults] == [("tags", "Relu relu1")]
    assert tag in faults[0].message


def test_other_outputs_are_found(plain: Path, annotated: Path) -> None:
    """A changed weight changes an output."""
    model = onnx.load(annotated)
    first = model.graph.initializer[0]
    first.raw_data = bytes(len(first.raw_data))
    onnx.save(model, annotated)
    assert [f.check for f in validate(annotated, reference=plain).faults] == ["reference"]


def test_what_the_checker_refuses_is_found(annotated: Path) -> None:
    """A node with an input that nothing makes is the checker's and onnxruntime's to find."""
    model = onnx.load(annotated)
    model.graph.node[3].input[0] = "nowhere"
    onnx.save(model, annotated)
    assert {f.check for f in validate(annotated).faults} == {"checker", "runs"}


def test_weights_of_another_module_are_found(annotated: Path) -> None:
    """A node tagged with one layer that uses the weights of another contradicts them."""
    retag(annotated, "proj1", "/Net/layer.0/fc")
    faults = validate(annotated, consistency=True).faults
    assert ("weights", "MatMul proj1") in [(f.check, f.node) for f in faults]


def test_a_tag_out_of_reach_is_found(annotated: Path) -> None:
    """A node between nodes of one layer that is tagged with another layer."""
    retag(annotated, "bias1", "/Net/layer.1")
    retag(annotated, "relu1", "/Net/layer.0/fc")
    faults = validate(annotated, consistency=True).faults
    assert [(f.check, f.node) for f in faults] == [("reach", "Relu relu1")]


def test_a_node_between_two_calls_of_one_module_is_in_reach_by_its_weight(
    annotated: Path,
) -> None:
    """What a node computes with a weight of its module is its module's, whatever is around it."""
    model = onnx.load(annotated)
    owned = [n for n in model.graph.node if n.name in {"proj1", "bias1"}]
    weights = {value.name for value in model.graph.initializer}
    assert owned
    assert all(weights & set(node.input) for node in owned)
    for node in model.graph.node:
        if node not in owned:
            retag(annotated, node.name, "/Net/layer.0")
    faults = validate(annotated, consistency=True).faults
    assert "reach" not in {fault.check for fault in faults if fault.node == "MatMul proj1"}


def test_parents_may_use_the_weights_of_children(annotated: Path) -> None:
    """A module that calls a function on a child's weight is no contradiction."""
    for node in ("proj0", "bias0"):
        retag(annotated, node, "/Net/layer.0")
    assert validate(annotated, consistency=True).good


def test_tied_weights_are_no_contradiction(tmp_path: Path) -> None:
    """One initializer that is the weight of two modules may be used by both."""
    model = two_layers()
    model.graph.node[5].input[1] = "layer.0.fc.weight"
    tied = record_of(two_layers(), TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES)
    kept = [w for w in model.graph.initializer if w.name != "layer.1.fc.weight"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, tmp_path / "tied.onnx")
    record = record_of(model, TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES)
    record = msgspec.structs.replace(record, modules=tied.modules)
    annotate(tmp_path / "tied.onnx", record, tmp_path / "a.onnx")
    assert validate(tmp_path / "a.onnx", consistency=True).good


@pytest.mark.parametrize("is_number", [True, False])
def test_a_common_number_is_no_contradiction(tmp_path: Path, is_number: bool) -> None:
    """Exporters merge equal constants; a whole weight of another module stays one."""
    model = two_layers()
    bias = next(w for w in model.graph.initializer if w.name == "layer.1.fc.bias")
    if is_number:
        bias.CopyFrom(numpy_helper.from_array(np.float32([0.5]), bias.name))
    reader = next(node for node in model.graph.node if node.name == "bias0")
    reader.input[1] = bias.name
    onnx.save(model, tmp_path / "m.onnx")
    record = record_of(model, TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES)
    annotate(tmp_path / "m.onnx", record, tmp_path / "a.onnx")
    faults = validate(tmp_path / "a.onnx", record=record, consistency=True).faults
    assert [f.node for f in faults if f.check == "weights"] == ([] if is_number else ["Add bias0"])


def test_a_record_of_the_future_is_refused(annotated: Path, tmp_path: Path) -> None:
    """The version of the record is read before anything else."""
    newer = encode_record(two_layers_record()).replace(b'"version":1', b'"version":99', 1)
    (tmp_path / "new.trace.json").write_bytes(newer)
    with pytest.raises(RecordError, match="version 99"):
        validate(annotated, record=tmp_path / "new.trace.json")


def test_strict_names_what_is_left_open(annotated: Path) -> None:
    """A node without a tag, and a check that was not made, are faults under strict only."""
    model = onnx.load(annotated)
    bare = model.graph.node[3]
    del bare.metadata_props[:]
    onnx.save(model, annotated)
    assert validate(annotated).good
    faults = validate(annotated, strict=True).faults
    assert [(f.check, f.node) for f in faults] == [("strict", f"{bare.op_type} {bare.name}")]
    assert "--explain '#3'" in faults[0].advice


def test_a_check_that_was_left_out_is_a_note(annotated: Path) -> None:
    """An operator that only onnxruntime has in ONNX's domain is no fault, but onnx is not asked."""
    model = onnx.load(annotated)
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "SimplifiedLayerNormalization"
    node.input.append("layer.0.fc.bias")
    onnx.save(model, annotated)
    validation = validate(annotated)
    assert validation.good
    assert "checker" not in validation.checks
    assert any("SimplifiedLayerNormalization" in note for note in validation.notes)
    assert [f.check for f in validate(annotated, strict=True).faults] == ["strict"]


def test_the_checkers_fault_names_the_node(annotated: Path) -> None:
    """What onnx's checker or onnxruntime says about a node is said of that node and its module."""
    model = onnx.load(annotated)
    node = model.graph.node[3]
    node.attribute.append(onnx.helper.make_attribute("odd", 1))
    onnx.save(model, annotated)
    tag = next(entry.value for entry in node.metadata_props if entry.key == keys.TAG)
    faults = {fault.check: fault for fault in validate(annotated).faults}
    assert faults["checker"].node == f"{node.op_type} {node.name}"
    assert faults["checker"].module == tag


@pytest.mark.parametrize("style", TagStyle)
@pytest.mark.parametrize("kind", [Inject.ATTRIBUTES, Inject.NAMES])
def test_tags_that_are_no_metadata(
    plain: Path, tmp_path: Path, kind: Inject, style: TagStyle
) -> None:
    """A file annotated with attributes or names alone is as good as one with metadata."""
    rules = TagRules(style)
    annotate(plain, two_layers_record(), tmp_path / "b.onnx", inject=[kind], rules=rules)
    validation = validate(tmp_path / "b.onnx", consistency=True)
    refused = {"runs"} if kind is Inject.ATTRIBUTES else set()  # by onnxruntime, where it fuses
    assert {fault.check for fault in validation.faults} <= refused
    assert validation.tagged == validation.nodes
    assert any("not metadata" in remark for remark in validation.remarks)
