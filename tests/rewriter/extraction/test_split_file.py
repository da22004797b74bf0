"""Parts that run in order give the outputs of the whole."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.errors import UsageError
from modelexport.rewriter import annotate, split
from tests.helpers.commands import Run
from tests.helpers.handmade import WIDTH, layers
from tests.helpers.traced import TracedModels


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_equal_the_whole(annotated: Path, tmp_path: Path, parts: int) -> None:
    """However many there are; the manifest says what the result says."""
    result = split(annotated, tmp_path / "parts", parts, check=True)
    assert (result.equal, len(result.parts)) == (True, parts)
    manifest = json.loads((tmp_path / "parts" / "manifest.json").read_bytes())
    assert [part["file"] for part in manifest["parts"]] == [part.file for part in result.parts]


def test_stages_are_the_modules(run: Run, annotated: Path, tmp_path: Path) -> None:
    """Each in its own part."""
    folder = tmp_path / "s"
    ran = run("split", annotated, "--stages", "layer.0;layer.1", "-o", folder, "--check")
    assert ran.code == 0
    assert "equal to the whole" in ran.out
    parts = json.loads((folder / "manifest.json").read_bytes())["parts"]
    assert [any("layer.1" in tag for tag in part["tags"]) for part in parts] == [False, True]


def test_modules_that_no_stage_names_are_told(tmp_path: Path) -> None:
    """A forgotten module is in some part; a module around named ones is not forgotten."""
    model, record = layers("Relu", "Relu", "Relu", "Relu")
    onnx.save(model, tmp_path / "plain.onnx")
    stages = [["layer.0"], ["layer.1"]]
    result = split(tmp_path / "plain.onnx", tmp_path / "s", stages, record=record)
    notes = [note for note in result.notes if "no stage names" in note]
    assert notes == ["no stage names /Net/layer.2, /Net/layer.3: part_1.onnx has their nodes"]
    whole = split(
        tmp_path / "plain.onnx", tmp_path / "t", [["layer.0-1"], ["layer.2-3"]], record=record
    )
    assert not any("no stage names" in note for note in whole.notes)


def test_a_stage_without_a_name_is_refused(run: Run, annotated: Path, tmp_path: Path) -> None:
    """The empty path is the root, which nobody means here."""
    for stages in ("layer.0;", "layer.0,;layer.1"):
        ran = run("split", annotated, "--stages", stages, "-o", tmp_path / "s")
        assert (ran.code, ran.out) == (2, "")
        assert "the name of a module is missing" in ran.err


def test_stages_that_cannot_run_in_order_are_refused(annotated: Path, tmp_path: Path) -> None:
    """With the node that needs what comes later."""
    with pytest.raises(UsageError, match="stage 0 cannot run before stage 1: its node"):
        split(annotated, tmp_path / "s", [["layer.1"], ["layer.0"]])


def test_too_many_parts_are_refused(annotated: Path, tmp_path: Path) -> None:
    """There are not that many nodes."""
    with pytest.raises(UsageError, match="cannot be 99 parts"):
        split(annotated, tmp_path / "s", 99)


def test_nodes_in_any_order_are_split(annotated: Path, tmp_path: Path) -> None:
    """Some converters write nodes behind those that read from them, and onnxruntime runs that."""
    model = onnx.load(annotated)
    nodes = list(reversed(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "backwards.onnx")
    result = split(tmp_path / "backwards.onnx", tmp_path / "p", 2, check=True)
    expected = split(annotated, tmp_path / "q", 2, check=True)
    assert (result.equal, expected.equal) == (True, True)
    assert len(result.parts[0].tags) < len({*result.parts[0].tags, *result.parts[1].tags})


def test_one_costly_node_leaves_the_rest_balanced(tmp_path: Path) -> None:
    """The parts behind it share what is left, instead of getting one node each."""
    model, record = layers(*["Relu"] * 9)
    onnx.save(model, tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", record, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    first = model.graph.initializer[0]
    first.CopyFrom(numpy_helper.from_array(np.ones((4096, WIDTH), np.float32), first.name))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4096
    onnx.save(model, tmp_path / "m.onnx")
    result = split(tmp_path / "m.onnx", tmp_path / "p", 4, balance="bytes")
    sizes = [part.nodes for part in result.parts]
    assert max(sizes[1:]) <= 2 * min(sizes[1:])


@pytest.mark.parametrize("balance", ["macs", "bytes"])
def test_a_transformer_splits(traced: TracedModels, tmp_path: Path, balance: str) -> None:
    """In two, by each cost."""
    done = traced("bert", "dynamo")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    assert split(tmp_path / "a.onnx", tmp_path / "p", 2, balance=balance, check=True).equal
