"""Whose work the nodes of onnxruntime's optimised form do."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.analysis.costs import choose_module
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import Claim, Decision
from modelexport.rewriter.profiling.optimised_graph import graph_of_optimised
from modelexport.rewriter.profiling.profiled_graph import ProfiledGraph, is_root_op
from tests.helpers.handmade import TWO_LAYERS_SCOPES, two_layers

NAMES = [node.name for node in two_layers().graph.node]
MODULES = dict(zip(NAMES, TWO_LAYERS_SCOPES, strict=True))


@pytest.fixture
def file(annotated: Path) -> Iterator[PlacedFile]:
    with PlacedFile.open(annotated) as placed:
        yield placed


def _graph(
    file: PlacedFile, model: onnx.ModelProto, decisions: dict[str, Decision]
) -> ProfiledGraph:
    """The optimised form; a node without a decision was matched with nothing."""
    every = [
        decisions.get(node.name, Decision("", n, node.name, node.op_type, module=""))
        for n, node in enumerate(model.graph.node)
    ]
    return graph_of_optimised(ModelGraph(model), every, file, {})


def _charged(graph: ProfiledGraph, name: str) -> str:
    (number,) = graph.by_name()[name]
    return choose_module(graph.nodes[number].works, graph.tree)


def test_a_node_that_kept_name_and_operator_is_the_files_node(file: PlacedFile) -> None:
    """Although matching found the work of another module, or of many, in it."""
    others = ("layer.1", "layer.1.fc", "layer.0")
    decisions = {
        "relu0": Decision("", 3, "relu0", "Relu", module="layer.1"),
        "plus0": Decision("", 4, "plus0", "Add", module="", covers=others),
    }
    graph = _graph(file, two_layers(), decisions)
    expected = {name: module for name, module in MODULES.items() if module}
    assert {name: _charged(graph, name) for name in expected} == expected


def test_a_node_of_another_operator_is_not(file: PlacedFile) -> None:
    """The name stayed, but the node is a fused one: what it does was found by matching."""
    model = two_layers()
    model.graph.node[3].op_type = "Gelu"
    decision = Decision("", 3, "relu0", "Gelu", module="layer.1", origins=("relu1",))
    assert _charged(_graph(file, model, {"relu0": decision}), "relu0") == "layer.1"


def test_a_quantised_operator_under_the_same_name_is_the_files_node(file: PlacedFile) -> None:
    """The runtime replaced the addition by one of whole numbers, and its name stayed."""
    model = two_layers()
    model.graph.node[NAMES.index("bias0")].op_type = "QLinearAdd"
    decision = Decision("", 2, "bias0", "QLinearAdd", module="layer.1", origins=("relu1",))
    assert _charged(_graph(file, model, {"bias0": decision}), "bias0") == MODULES["bias0"]


@pytest.mark.parametrize(
    ("before", "module"),
    [("bias0", "layer.0.fc"), ("relu0", "layer.0"), ("proj1", "layer.1.fc")],
)
def test_an_inserted_node_serves_the_node_that_reads_it(
    file: PlacedFile, before: str, module: str
) -> None:
    """Two changes of layout stand in front of a node: both are of the module of that node."""
    model = two_layers()
    position = NAMES.index(before)
    reader = model.graph.node[position]
    value = reader.input[0]
    for name, source, result in (("in", value, "a"), ("out", "a", "b")):
        inserted = onnx.helper.make_node("Reorder", [source], [result], name)
        model.graph.node.insert(position + (name == "out"), inserted)
    reader = model.graph.node[position + 2]
    reader.input[0] = "b"
    graph = _graph(file, model, {})
    assert [_charged(graph, name) for name in ("in", "out")] == [module] * 2


def test_an_inserted_node_that_many_read_serves_the_node_that_it_reads(file: PlacedFile) -> None:
    """A cast behind the first layer is read by two modules."""
    model = two_layers()
    position = NAMES.index("proj1")
    inserted = onnx.helper.make_node("Cast", ["p0"], ["c"], "cast", to=1)
    model.graph.node.insert(position, inserted)
    for node in model.graph.node:
        if node.name in {"proj1", "plus1"}:
            node.input[0] = "c"
    assert _charged(_graph(file, model, {}), "cast") == MODULES["plus0"]


def test_what_a_quantiser_put_between_nodes_of_a_module_is_of_this_module(
    annotated: Path,
) -> None:
    """A file whose quantiser nodes are tagged with the root: they serve the module around them."""
    model = onnx.load(annotated)
    before = next(n for n, node in enumerate(model.graph.node) if node.name == "bias0")
    source = model.graph.node[before].input[0]
    chain = (("q", "QuantizeLinear", source), ("dq", "DequantizeLinear", "q"))
    for offset, (name, kind, value) in enumerate(chain):
        node = onnx.helper.make_node(kind, [value, "one"], [name], name)
        node.metadata_props.add(key=keys.TAG, value="/Net")
        node.metadata_props.add(key=keys.EVIDENCE, value=EvidenceKind.VALUES)
        model.graph.node.insert(before + offset, node)
    model.graph.node[before + 2].input[0] = "dq"
    onnx.save(model, annotated.with_name("q.onnx"))
    with PlacedFile.open(annotated.with_name("q.onnx")) as file:
        assert [file.modules[before + n] for n in (0, 1)] == ["", ""]
        decisions = {
            name: Decision("", before + n, name, kind, module="", origins=(name,))
            for n, (name, kind, _) in enumerate(chain)
        }
        graph = _graph(file, model, decisions)
    assert [_charged(graph, name) for name in ("q", "dq")] == ["layer.0.fc"] * 2


@pytest.mark.parametrize(
    ("claim", "kind", "expected"),
    [
        (Claim("", EvidenceKind.NAMES), "MaxPool", True),
        (Claim("", EvidenceKind.VALUES), "MaxPool", True),
        (Claim("", EvidenceKind.PROPAGATION), "MaxPool", False),
        (Claim("", EvidenceKind.NAMES, covers=("a", "b")), "MaxPool", False),
        (Claim("", EvidenceKind.VALUES), "DequantizeLinear", False),
        (Claim("a", EvidenceKind.NAMES), "MaxPool", False),
        (None, "MaxPool", False),
    ],
)
def test_work_of_the_roots_own_forward_is_recorded_there(
    claim: Claim | None, kind: str, expected: bool
) -> None:
    """The root as the ancestor of several, or of a quantiser's node, is no work of its own."""
    assert is_root_op(claim, kind) is expected


@pytest.mark.parametrize(("other", "module"), [(None, "layer.0.fc"), ("proj0", "layer.0")])
def test_a_product_does_the_product_in_front_of_what_was_found_in_it(
    file: PlacedFile, other: str | None, module: str
) -> None:
    """Only the activation was found in a product; another optimised node may do the product."""
    model = two_layers()
    fused = model.graph.node[NAMES.index("relu0")]
    fused.op_type, fused.name = "FusedMatMul", "fused"
    model.graph.node[NAMES.index("proj0")].name = "product"
    decisions = {"fused": Decision("", 3, "fused", "FusedMatMul", "layer.0", origins=("relu0",))}
    if other is not None:
        decisions["product"] = Decision("", 1, "product", "MatMul", "layer.0.fc", origins=(other,))
    assert _charged(_graph(file, model, decisions), "fused") == module
