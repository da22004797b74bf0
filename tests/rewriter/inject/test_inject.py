"""Injection as attributes and as names, alone and together, and what strip makes of them."""

from itertools import combinations
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_graphs, walk_nodes
from modelexport.hierarchy.record import encode_record
from modelexport.hierarchy.tags import Tagger, path_steps
from modelexport.rewriter import analyze, annotate, strip
from modelexport.rewriter.inject.names import new_names
from modelexport.rewriter.matching import match_record
from modelexport.rewriter.surgery import Surgery
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.subgraphs import save_model, with_subgraphs
from tests.helpers.traced import TracedModels, every_case, open_session, output_bytes

KINDS = [Inject.METADATA, Inject.ATTRIBUTES, Inject.NAMES]
COMBINED = [list(c) for size in (1, 2, 3) for c in combinations(KINDS, size)]


def attribute_tags(model: ModelProto) -> list[str | None]:
    return [
        next((a.s.decode() for a in node.attribute if a.name == keys.TAG_ATTRIBUTE), None)
        for _, node in walk_nodes(model)
    ]


@every_case
def test_attributes_and_names_on_every_fixture(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """All kinds at once: same bits, the checker accepts it, surgery and strip lose nothing."""
    trace = traced(name, exporter)
    target, back = tmp_path / "a.onnx", tmp_path / "s.onnx"
    report = annotate(trace.onnx_path, trace.record, target, inject=KINDS)
    model = onnx.load(target)
    onnx.checker.check_model(model, full_check=True)
    assert attribute_tags(model) == [d.tag for d in report.decisions]
    node_names = [node.name for _, node in walk_nodes(model)]
    assert len(set(node_names)) == len(node_names)
    assert output_bytes(target, trace) == output_bytes(trace.onnx_path, trace)
    assert Surgery(model).model() == model
    strip(target, back)
    assert back.read_bytes() == trace.onnx_path.read_bytes()
    assert [p.path for p in walk_graphs(model)] == [
        p.path for p in walk_graphs(onnx.load(trace.onnx_path))
    ]


@pytest.mark.parametrize("kinds", COMBINED, ids="+".join)
def test_each_combination(kinds: list[Inject], tmp_path: Path) -> None:
    """What is asked for is written and nothing else, twice the same, and read back alike."""
    source, target, again = (
        save_model(tmp_path, two_layers()),
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
    )
    report = annotate(source, two_layers_record(), target, inject=kinds)
    annotate(source, two_layers_record(), again, inject=kinds)
    assert target.read_bytes() == again.read_bytes()
    model, plain = onnx.load(target), onnx.load(source)
    tags = [d.tag for d in report.decisions]
    assert attribute_tags(model) == (tags if Inject.ATTRIBUTES in kinds else [None] * len(tags))
    tagged = [any(e.key == keys.TAG for e in node.metadata_props) for node in model.graph.node]
    assert tagged == [Inject.METADATA in kinds] * len(tags)
    kept = [node.name for node in plain.graph.node] == [node.name for node in model.graph.node]
    assert kept == (Inject.NAMES not in kinds)
    assert [(n.op_type, n.input, n.output) for n in plain.graph.node] == [
        (n.op_type, n.input, n.output) for n in model.graph.node
    ]
    rows = {row.tag: row.own_nodes for row in analyze(target).modules}
    assert {tag: tags.count(tag) for tag in tags} == {tag: n for tag, n in rows.items() if n}
    strip(target, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("first", COMBINED, ids="+".join)
@pytest.mark.parametrize("second", COMBINED, ids="+".join)
def test_annotating_again_replaces(
    first: list[Inject], second: list[Inject], tmp_path: Path
) -> None:
    """A second annotation, with the record, leaves nothing of the first."""
    source, once, twice = (tmp_path / f"{n}.onnx" for n in ("m", "1", "2"))
    save_model(tmp_path, two_layers())
    annotate(source, two_layers_record(), once, inject=first)
    report = annotate(once, two_layers_record(), twice, inject=second)
    assert report.evidence.keys() == {"identity", "propagation"}
    annotate(source, two_layers_record(), tmp_path / "only.onnx", inject=second)
    assert twice.read_bytes() == (tmp_path / "only.onnx").read_bytes()


def test_names_say_the_module() -> None:
    """A name is the module's path, a step a slash, then the operator."""
    record = two_layers_record()
    model = two_layers()
    decisions = match_record(model, record, "m").decisions
    names = new_names(model, decisions, Tagger(record.tree))
    assert decisions
    for decision, node in zip(decisions, model.graph.node, strict=True):
        assert decision.module is not None
        expected = "/" + "/".join([*path_steps(decision.module), node.op_type])
        assert names[decision.key].startswith(expected)


def test_names_and_attributes_inside_subgraphs(tmp_path: Path) -> None:
    """Nodes of subgraphs and of functions are renamed and tagged like all others, and restored."""
    model = with_subgraphs()
    for number, (_, node) in enumerate(walk_nodes(model)):
        node.name = ["", f"n{number}"][number % 2]
        if not number % 4:
            node.ClearField("name")
        node.metadata_props.add(key=keys.TAG, value="/Net/a" if number % 3 else "/Net/b.0")
    plain = ModelProto()
    plain.CopyFrom(model)
    for _, node in walk_nodes(plain):
        del node.metadata_props[:]
    source, target = save_model(tmp_path, model), tmp_path / "a.onnx"
    annotate(source, None, target, inject=KINDS)
    result = onnx.load(target)
    assert None not in attribute_tags(result)
    node_names = [node.name for _, node in walk_nodes(result)]
    assert len(set(node_names)) == len(node_names) > len(result.graph.node)
    strip(target, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").read_bytes() == plain.SerializeToString()


def test_names_come_back_in_a_file_that_lost_nodes(tmp_path: Path) -> None:
    """Strip restores names by name, so what another tool removed or moved does not matter."""
    source, target = save_model(tmp_path, two_layers()), tmp_path / "a.onnx"
    annotate(source, two_layers_record(), target, inject=[Inject.NAMES])
    model = onnx.load(target)
    last = model.graph.node[-1]
    del model.graph.node[-1]
    model.graph.output[0].name = last.input[0]
    target.write_bytes(model.SerializeToString())
    strip(target, tmp_path / "s.onnx")
    plain = [node.name for node in onnx.load(source).graph.node]
    assert [node.name for node in onnx.load(tmp_path / "s.onnx").graph.node] == plain[:-1]


def test_no_two_nodes_get_one_name(tmp_path: Path) -> None:
    """A node that a tool added has an earlier name: the annotated node keeps its present one."""
    plain = two_layers()
    target, edited = tmp_path / "named.onnx", tmp_path / "edited.onnx"
    annotate(save_model(tmp_path, plain), two_layers_record(), target, inject=[Inject.NAMES])
    named = onnx.load(target)
    first = next(node for node in plain.graph.node if node.input)
    named.graph.node.append(make_node("Neg", first.input[:1], ["added"], name=first.name))
    named.graph.output.add(name="added").type.CopyFrom(named.graph.output[0].type)
    onnx.save(named, edited)
    strip(edited, tmp_path / "stripped.onnx")
    names = [node.name for node in onnx.load(tmp_path / "stripped.onnx").graph.node]
    assert len(set(names)) == len(names)
    assert {node.name for node in plain.graph.node} <= set(names)
    assert open_session(tmp_path / "stripped.onnx")


def test_the_command_takes_several_kinds(tmp_path: Path, run: Run) -> None:
    """`--inject` may be repeated, and the limits of attributes are told."""
    source, record = save_model(tmp_path, two_layers()), tmp_path / "m.trace.json"
    record.write_bytes(encode_record(two_layers_record()))
    target = tmp_path / "a.onnx"
    arguments = ["annotate", source, "--record", record, "-o", target]
    result = run(*arguments, "--inject", "names", "--inject", "attributes")
    assert result.code == 0
    assert "onnxruntime refuses" in result.out
    model = onnx.load(target)
    assert None not in attribute_tags(model)
    names = [node.name for node in model.graph.node]
    assert names
    assert [name for name in names if not name.startswith("/")] == []
    assert not any(node.metadata_props for node in model.graph.node)
    open_session(target)
