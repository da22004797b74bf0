"""A part says nothing about modules and weights that it does not have."""

import json
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import numpy_helper
from onnx.helper import make_node, make_opsetid

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.module_tree import Module, Parameter
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import analyze, annotate, extract, select_nodes, split, strip
from modelexport.rewriter.annotation.placed_file import PlacedFile
from tests.helpers.handmade import parse, record_of, two_layers, two_layers_record
from tests.helpers.parts import modules_of_part
from tests.helpers.subgraphs import save_model


def _entries(path: Path) -> dict[str, str]:
    return {e.key: e.value for e in onnx.load(path).metadata_props}


def _tree(path: Path) -> dict[str, Module]:
    with PlacedFile.open(path) as file:
        return {module.path: module for module in file.tree}


def test_analyze_counts_the_part_alone(annotated: Path, tmp_path: Path) -> None:
    """Each listed module has nodes or weights there; the parameters are those of the file."""
    part = tmp_path / "part.onnx"
    extract(annotated, "layer.1", part)
    analysis = analyze(part)
    assert analysis.modules[0].parameters == sum(
        numpy_helper.to_array(weight).size for weight in onnx.load(part).graph.initializer
    )
    assert [row.path for row in analysis.modules if not row.nodes] == []
    assert len(analysis.modules) < len(analyze(annotated).modules)


def test_each_part_of_a_split_has_its_own_modules(annotated: Path, tmp_path: Path) -> None:
    """What no part but one works for is in that one alone."""
    result = split(annotated, tmp_path / "parts", [["layer.0"], ["layer.1"]])
    files = [tmp_path / "parts" / part.file for part in result.parts]
    with PlacedFile.open(annotated) as whole:
        expected = [modules_of_part(whole, onnx.load(file)) for file in files]
    assert [list(_tree(file).values()) for file in files] == expected
    assert expected[0] != expected[1]


def test_names_and_parameters_of_the_part_alone(tmp_path: Path) -> None:
    """Stripping brings back the earlier names of its nodes; weights of other names are known."""
    model = two_layers()
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    annotate(
        save_model(tmp_path, model),
        two_layers_record(),
        whole,
        inject=[Inject.METADATA, Inject.NAMES],
    )
    renamed = onnx.load(whole)
    parameters = {f"w{n}": w.name for n, w in enumerate(renamed.graph.initializer)}
    names = {name: number for number, name in parameters.items()}
    for node in renamed.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    for weight in renamed.graph.initializer:
        weight.name = names[weight.name]
    renamed.metadata_props.add(key=keys.PARAMETERS, value=json.dumps(parameters))
    onnx.save(renamed, whole)
    extract(whole, "layer.1", part)
    cut, entries = onnx.load(part), _entries(part)
    weights = {weight.name for weight in cut.graph.initializer}
    assert json.loads(entries[keys.PARAMETERS]) == {w: parameters[w] for w in weights}
    assert set(json.loads(entries[keys.NAMES])) == {node.name for node in cut.graph.node}
    assert [p.name for p in _tree(part)["layer.1.fc"].parameters] == ["weight", "bias"]
    assert "layer.0.fc" not in _tree(part)
    strip(part, tmp_path / "stripped.onnx")
    outputs = {node.output[0]: node.name for node in model.graph.node}
    stripped = onnx.load(tmp_path / "stripped.onnx").graph.node
    assert [n.name for n in stripped] == [outputs[n.output[0]] for n in stripped]


_TIED = """g (float[2, 4] x) => (float[2, 4] y) {
    [n0] a = MatMul (x, first.weight) [n1] b = Relu (a) [n2] y = MatMul (b, first.weight) }"""


@pytest.fixture
def tied(tmp_path: Path) -> Path:
    """Two modules share a weight; one has another path, and a parameter that was folded."""
    model = parse(_TIED, {"first.weight": (4, 4)})
    record = record_of(
        model, {"": "Net", "first": "A", "act": "B", "last": "C"}, ["first", "act", "last"]
    )
    own, weight = Parameter("folded", (3,)), Parameter("weight", (4, 4), tied_to="first.weight")
    modules = [
        msgspec.structs.replace(m, parameters=(weight, own)) if m.path == "last" else m
        for m in record.modules
    ]
    alias = Module("around.again", "C", alias_of="last", parameters=(weight, own))
    modules += [Module("around", "D"), alias]
    record = msgspec.structs.replace(record, modules=tuple(modules))
    annotate(save_model(tmp_path, model), record, tmp_path / "tied.onnx")
    return tmp_path / "tied.onnx"


def test_shared_weights_and_other_paths(tied: Path, tmp_path: Path) -> None:
    """The owner of a shared weight stays; a module can be asked for under each of its paths."""
    part = tmp_path / "part.onnx"
    extract(tied, "last", part, check=True)
    before, after = _tree(tied), _tree(part)
    assert after == {path: module for path, module in before.items() if path != "act"}
    nodes = [select_nodes(part, [path]).nodes for path in ("last", "around.again")]
    assert nodes[0] == nodes[1]
    assert nodes[0]


def test_parameters_that_are_elsewhere_or_nowhere(tied: Path, tmp_path: Path) -> None:
    """A module without nodes in the part has what the part holds; folded ones go with the work."""
    part = tmp_path / "part.onnx"
    extract(tied, "first", part)
    assert [p.name for p in _tree(part)["first"].parameters] == ["weight"]
    assert "last" not in _tree(part)
    extract(tied, "act", part, force=True)
    assert set(_tree(part)) == {"", "act"}


@pytest.mark.parametrize("depth", [1, None])
def test_tags_of_few_steps_keep_what_is_inside(depth: int | None, tmp_path: Path) -> None:
    """A node may be of any module whose tag it has."""
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    source = save_model(tmp_path, two_layers())
    annotate(source, two_layers_record(), whole, rules=TagRules(depth=depth))
    extract(whole, "layer.1", part)
    inside = {path: m for path, m in _tree(whole).items() if path.startswith("layer.1")}
    kept = _tree(part)
    assert {path: m for path, m in kept.items() if path.startswith("layer.1")} == inside
    assert not any(m.parameters for path, m in kept.items() if path not in inside)


def test_functions_that_no_node_calls_are_left_out(annotated: Path, tmp_path: Path) -> None:
    """Their nodes would be counted; functions that others call stay."""
    model = onnx.load(annotated)
    opsets = [make_opsetid("", 17), make_opsetid("own", 1)]
    bodies = {
        "Inner": make_node("Relu", ["a"], ["b"]),
        "Outer": make_node("Inner", ["a"], ["b"], domain="own"),
        "Unused": make_node("Relu", ["a"], ["b"]),
    }
    for name, node in bodies.items():
        model.functions.append(onnx.helper.make_function("own", name, ["a"], ["b"], [node], opsets))
    model.opset_import.append(opsets[1])
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    relu.op_type, relu.domain = "Outer", "own"
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    onnx.save(model, whole)
    assert extract(whole, "layer.0", part, check=True).equal
    assert [f.name for f in onnx.load(part).functions] == ["Inner", "Outer"]
    extract(whole, "layer.1", part, force=True)
    assert not onnx.load(part).functions


def test_parts_of_files_without_a_tree_are_left(annotated: Path, tmp_path: Path) -> None:
    """Another tool dropped the model's metadata: the tags of the nodes are all there is."""
    model = onnx.load(annotated)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    part = tmp_path / "part.onnx"
    assert extract(tmp_path / "bare.onnx", "layer.1", part, check=True).equal
    assert _entries(part) == {}
