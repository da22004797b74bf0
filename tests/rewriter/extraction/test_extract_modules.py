"""A module becomes a file of its own that computes what the whole file computes there."""

import math
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter import analyze, annotate, extract, split
from modelexport.rewriter.annotation.placed_file import PlacedFile
from tests.helpers.commands import Run
from tests.helpers.handmade import TWO_LAYERS_MODULES, parse, record_of, two_layers
from tests.helpers.parts import modules_of_part
from tests.helpers.traced import TracedModels


@pytest.mark.parametrize("module", [path for path in TWO_LAYERS_MODULES if path])
def test_a_module_equals_the_whole(annotated: Path, tmp_path: Path, module: str) -> None:
    """Every module of a small file: nodes, metadata and numbers."""
    part = tmp_path / "part.onnx"
    result = extract(annotated, module, part, check=True)
    assert (result.equal, result.different) == (True, [])
    model = onnx.load(part)
    onnx.checker.check_model(model, full_check=True)
    with PlacedFile.open(annotated) as whole, PlacedFile.open(part) as file:
        own = [whole.graph.nodes[number] for number in whole.nodes_of(module)]
        assert [file.graph.nodes[number] for number in file.nodes_of(module)] == own
        assert list(file.tree) == modules_of_part(whole, model)
    assert [value.name for value in model.graph.input] == [t.name for t in result.inputs]


@pytest.mark.parametrize("module", [path for path in TWO_LAYERS_MODULES if path])
def test_a_part_has_the_parameters_of_its_modules(
    annotated: Path, tmp_path: Path, module: str
) -> None:
    """The root has no others."""
    extract(annotated, module, tmp_path / "part.onnx")
    weights = {w.name: w.dims for w in onnx.load(tmp_path / "part.onnx").graph.initializer}
    rows = {row.path: row.parameters for row in analyze(tmp_path / "part.onnx").modules}
    inside = sum(math.prod(dims) for name, dims in weights.items() if is_within(name, module))
    assert rows[module] == inside
    assert rows[""] == inside == sum(map(math.prod, weights.values()))


def test_parts_have_the_parameters_of_the_whole(annotated: Path, tmp_path: Path) -> None:
    """Each in one part, where no two parts share a weight."""
    parts = split(annotated, tmp_path / "s", [["layer.0"], ["layer.1"]]).parts
    counts = [analyze(tmp_path / "s" / part.file).parameters for part in parts]
    assert sum(counts) == analyze(annotated).parameters
    assert min(counts) > 0


def test_several_modules_and_ranges_are_one_part(annotated: Path, tmp_path: Path) -> None:
    """`layer.0-1` is both layers."""
    one = extract(annotated, "layer.0-1", tmp_path / "one.onnx", check=True)
    two = extract(annotated, ["layer.0", "layer.1"], tmp_path / "two.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
    assert one.equal
    assert one.modules == two.modules == ["layer.0", "layer.1"]


def test_what_is_not_convex_is_refused(run: Run, plain: Path, tmp_path: Path) -> None:
    """With the nodes between, and nothing is written."""
    model = two_layers()
    scopes = ["a", "a", "a", "b", "a", "a", "a", "a", "a", "a"]
    record = record_of(model, {"": "Net", "a": "A", "b": "B"}, scopes)
    annotate(plain, record, tmp_path / "ab.onnx")
    ran = run("extract", tmp_path / "ab.onnx", "a", "-o", tmp_path / "part.onnx")
    assert (ran.code, ran.out) == (2, "")
    assert "come back through nodes outside of it: relu0 (Relu, /Net/b)." in ran.err
    assert not (tmp_path / "part.onnx").exists()


def test_saved_inputs_run_the_part(annotated: Path, tmp_path: Path) -> None:
    """As they are, in onnxruntime itself."""
    part, saved = tmp_path / "part.onnx", tmp_path / "in.npz"
    result = extract(annotated, "layer.1", part, save_inputs=saved)
    session = ort.InferenceSession(part, providers=["CPUExecutionProvider"])
    outputs = session.run(None, dict(np.load(saved)))
    assert len(outputs) == len(result.outputs) == 1


def test_a_call_has_the_calls_of_modules_inside_it(tmp_path: Path) -> None:
    """A module that runs twice in each of two calls: its last two calls are of the second."""
    text = "g (float[4] x) => (float[4] y) { [n0] a = Relu (x) [n1] b = Tanh (a) [n2] c = Relu (b) "
    model = parse(text + "[n3] d = Tanh (c) [n4] y = Abs (d) }")
    onnx.save(model, tmp_path / "m.onnx")
    record = record_of(model, {"": "Net", "b": "Block", "b.f": "Act"}, [*["b.f"] * 4, ""])
    calls = zip(record.modules, (1, 2, 4), strict=True)
    modules = [msgspec.structs.replace(module, calls=count) for module, count in calls]
    ops = [msgspec.structs.replace(o, call=n if n < 4 else 0) for n, o in enumerate(record.ops)]
    record = msgspec.structs.replace(record, modules=tuple(modules), ops=type(record.ops)(ops))
    annotate(tmp_path / "m.onnx", record, tmp_path / "a.onnx")
    for name, nodes in {"b@0": ["n0", "n1"], "b@1": ["n2", "n3"], "b.f@2": ["n2"]}.items():
        part = tmp_path / "part.onnx"
        assert extract(tmp_path / "a.onnx", name, part, check=True, force=True).equal
        assert [node.name for node in onnx.load(part).graph.node] == nodes
    with pytest.raises(UsageError, match="its calls are @0, @1"):
        extract(tmp_path / "a.onnx", "b@2", None)


def _external(annotated: Path, folder: Path) -> Path:
    folder.mkdir()
    model = onnx.load(annotated)
    onnx.save(model, folder / "e.onnx", save_as_external_data=True, location="w", size_threshold=0)
    return folder / "e.onnx"


def test_external_data_is_referred_to_in_its_folder(annotated: Path, tmp_path: Path) -> None:
    """No other file is written."""
    whole = _external(annotated, tmp_path / "data")
    part = whole.with_name("part.onnx")
    assert extract(whole, "layer.1", part, check=True).equal
    assert {path.name for path in whole.parent.iterdir()} == {"e.onnx", "w", "part.onnx"}


def test_elsewhere_only_the_own_ranges_are_copied(annotated: Path, tmp_path: Path) -> None:
    """The part and its data are a model of their own."""
    whole = _external(annotated, tmp_path / "data")
    (tmp_path / "out").mkdir()
    part = tmp_path / "out" / "part.onnx"
    assert extract(whole, "layer.1.fc", part, check=True).equal
    used = {w.name for w in onnx.load(part).graph.initializer}
    assert used == {"layer.1.fc.weight", "layer.1.fc.bias"}
    assert {p.name for p in part.parent.iterdir()} == {"part.onnx", "part.onnx.data"}
    before, after = ({w.name: w for w in onnx.load(f).graph.initializer} for f in (annotated, part))
    assert {name: weight.raw_data for name, weight in after.items()} == {
        name: before[name].raw_data for name in used
    }


def test_a_cut_off_data_file_is_an_error(annotated: Path, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    whole = _external(annotated, tmp_path / "data")
    (tmp_path / "out").mkdir()
    whole.with_name("w").write_bytes(b"short")
    with pytest.raises(FileProblem, match="cut off"):
        extract(whole, "layer.1", tmp_path / "out" / "part.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_types_come_from_onnxruntime_where_onnx_knows_none(annotated: Path, tmp_path: Path) -> None:
    """Operators of onnxruntime's own have no shape inference in onnx."""
    model = onnx.load(annotated)
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type, node.domain = "QuickGelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "contrib.onnx")
    result = extract(tmp_path / "contrib.onnx", "layer.1", tmp_path / "part.onnx", check=True)
    assert result.equal
    assert {t.type for t in (*result.inputs, *result.outputs)} == {"FLOAT"}


def test_a_module_in_a_branch_cannot_be_cut_out(tmp_path: Path) -> None:
    """The error says where it runs."""
    model = two_layers()
    branch = helper.make_graph(
        [helper.make_node("Abs", ["y"], ["r"], name="inner")],
        "b",
        [],
        [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
    )
    flag = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("", 9, [], [True]))
    whole = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    model.graph.node.extend([flag, whole])
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "m.onnx")
    scopes = ["in" if key.graph else "out" for key, _ in walk_nodes(model)]
    record = record_of(model, {"": "Net", "in": "In", "out": "Out"}, scopes)
    with pytest.raises(UsageError, match="inside a branch"):
        extract(tmp_path / "m.onnx", "in", None, record=record)
    assert extract(tmp_path / "m.onnx", "out", tmp_path / "o.onnx", record=record, check=True).equal


def test_a_file_without_tags_is_cut_by_its_ancestor(
    plain: Path, annotated: Path, tmp_path: Path
) -> None:
    """Nothing else has to be made first, and the part is that of the annotated file."""
    result = extract(plain, "layer.1", tmp_path / "p.onnx", inherit_from=annotated, check=True)
    expected = extract(annotated, "layer.1", None)
    assert result.equal
    assert (result.nodes, result.outputs) == (expected.nodes, expected.outputs)
    with PlacedFile.open(annotated) as whole, PlacedFile.open(tmp_path / "p.onnx") as part:
        tags = {whole.graph.nodes[n].name: whole.tag(n) for n in range(len(whole.graph))}
        assert [part.tag(n) for n in range(len(part.graph))] == [
            tags[node.name] for node in part.graph.nodes
        ]
        assert list(part.tree) == modules_of_part(whole, part.model)


def test_a_real_layer_equals_the_whole(traced: TracedModels, tmp_path: Path) -> None:
    """The layers of a traced transformer; the table names what goes in and out."""
    done = traced("bert", "dynamo")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    layers = [m.path for m in done.record.modules if m.path.endswith("layer.1")]
    assert layers
    result = extract(tmp_path / "a.onnx", layers[0], tmp_path / "p.onnx", check=True)
    assert result.equal
    graph = onnx.load(tmp_path / "p.onnx").graph
    assert [tensor.name for tensor in result.outputs] == [value.name for value in graph.output]
    assert "" not in {tensor.source for tensor in result.outputs}


def test_the_command_prints_the_boundary(run: Run, annotated: Path, tmp_path: Path) -> None:
    """One line a tensor, and the verdict."""
    ran = run("extract", annotated, "layer.1", "-o", tmp_path / "p.onnx", "--check")
    assert ran.code == 0
    assert "equal to the whole file, bit for bit" in ran.out
    rows = [line.split() for line in ran.out.splitlines()]
    graph = onnx.load(tmp_path / "p.onnx").graph
    assert [row[1] for row in rows if row[0] == "in"] == [value.name for value in graph.input]
    assert [row[1] for row in rows if row[0] == "out"] == [value.name for value in graph.output]


def test_a_folder_is_no_file_to_write(run: Run, annotated: Path) -> None:
    """It has no name to which anything could be appended."""
    code, _, err = run("extract", annotated, "layer.0", "-o", ".")
    assert (code, err) == (2, "modelexport: .: a folder, not a file.\n")
