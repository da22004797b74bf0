"""Modules without nodes and with many readers: what users are told about them."""

from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.rewriter import annotate, extract, split
from tests.helpers.commands import Run
from tests.helpers.handmade import parse, record_of


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A value that three modules read, and a module without nodes."""
    text = "g (float[4] x) => (float[4] y) { [n0] a = Abs (x) [n1] b = Exp (a) [n2] c = Sin (a) "
    model = parse(text + "[n3] d = Cos (a) [n4] y = Sum (b, c, d) }")
    onnx.save(model, tmp_path / "plain.onnx")
    modules = {"": "Net", "stem": "Stem", "drop": "Dropout"}
    modules |= {f"head.{number}": "Head" for number in range(3)}
    record = record_of(model, modules, ["stem", "head.0", "head.1", "head.2", ""])
    annotate(tmp_path / "plain.onnx", record, tmp_path / "fork.onnx")
    return tmp_path / "fork.onnx"


def test_a_module_without_nodes_is_a_note(fork: Path, tmp_path: Path) -> None:
    """Beside modules that have some."""
    note = "drop has no nodes in this file."
    part = extract(fork, ["stem", "drop"], tmp_path / "p.onnx", check=True)
    assert (part.nodes, part.equal, part.notes) == (1, True, [note])
    result = split(fork, tmp_path / "s", [["stem", "drop"], ["head.0-2"]], check=True)
    assert (result.equal, result.notes) == (True, [note])


@pytest.fixture
def fused(fork: Path) -> Path:
    """The file of `fork`, in which a node of the root does the work of two modules."""
    model = onnx.load(fork)
    node = model.graph.node[1]
    (tag,) = (entry for entry in node.metadata_props if entry.key == keys.TAG)
    node.metadata_props.add(key=keys.COVERS, value=f'["/Net", "{tag.value}"]')
    tag.value = "/Net"
    onnx.save(model, fork)
    return fork


def test_a_module_whose_work_a_fused_node_does_can_be_cut_out(fused: Path, tmp_path: Path) -> None:
    """With `partly`; without it the error says so."""
    with pytest.raises(UsageError, match=r"head\.0: no nodes .*a fused node in /Net .* --partly"):
        extract(fused, "head.0", tmp_path / "p.onnx")
    part = extract(fused, "head.0", tmp_path / "p.onnx", partly=True, check=True)
    assert (part.nodes, part.equal) == (1, True)
    assert onnx.load(tmp_path / "p.onnx").graph.node[0].name == onnx.load(fused).graph.node[1].name


def test_a_fused_node_goes_into_the_stage_of_its_module(fused: Path, tmp_path: Path) -> None:
    """If no stage names the module that has its tag."""
    stages = [["stem"], ["head.0"], ["head.1-2"]]
    result = split(fused, tmp_path / "s", stages, check=True)
    assert (result.equal, result.notes) == (True, [])
    (node,) = onnx.load(tmp_path / "s" / result.parts[1].file).graph.node
    assert node.name == onnx.load(fused).graph.node[1].name


def test_names_of_dimensions_stand_apart(run: Run, fork: Path, tmp_path: Path) -> None:
    """`batchx4` is no shape."""
    model = onnx.load(fork)
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        dims.add().CopyFrom(dims[0])
        dims[0].dim_param = "batch"
    del model.graph.value_info[:]
    onnx.save(model, fork)
    assert "batch x 4" in run("extract", fork, "stem", "-o", tmp_path / "p.onnx").out


def test_the_table_counts_the_readers_that_it_leaves_out(
    run: Run, fork: Path, tmp_path: Path
) -> None:
    """Readers of inputs are inside, those of outputs outside."""
    ran = run("extract", fork, "stem", "-o", tmp_path / "p.onnx")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "in x float 4 input /Net/stem" in lines
    assert "out a float 4 /Net/stem Abs /Net/head.0, /Net/head.1 and 1 more" in lines
