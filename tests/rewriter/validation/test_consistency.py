"""Consistency finds nothing on right tags, and finds tags that were swapped."""

from itertools import combinations
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree, is_within
from modelexport.hierarchy.record import Record
from modelexport.rewriter import AnnotateReport, annotate, validate
from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.traced import TracedModels, every_case


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    return tmp_path / "a.onnx"


def related(tree: ModuleTree, left: str, right: str) -> bool:
    """Whether one module holds the other, by any of their paths."""
    paths = [
        [m.path for m in tree if tree.canonical(m.path) == tree.canonical(path)]
        for path in (left, right)
    ]
    return any(is_within(a, b) or is_within(b, a) for a in paths[0] for b in paths[1])


def swappable(path: Path, record: Record, report: AnnotateReport) -> tuple[NodeKey, NodeKey] | None:
    """Two nodes of modules that have nothing to do with one another, each reading its weights.

    Weights of a shape that a parameter without an initializer has may be tied to it, so that
    both modules may read them: such nodes prove nothing.
    """
    model = onnx.load(path)
    graph = ModelGraph(model)
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    absent = {
        tuple(sorted(p.shape))
        for m in record.modules
        for p in (*m.parameters, *m.buffers)
        if f"{m.path}.{p.name}".lstrip(".") not in parameters.values()
    }
    shapes = {w.name: tuple(sorted(w.dims)) for w in model.graph.initializer}
    readers: dict[NodeKey, str] = {}
    for number, (key, node) in enumerate(zip(graph.keys, graph.nodes, strict=True)):
        owners = {parameters[n].rpartition(".")[0] for n in node.input if n in parameters}
        clear = all(shapes.get(n) not in absent for n in node.input if n in parameters)
        own = owners == {report.decisions[number].module} and not report.decisions[number].covers
        if own and clear and not graph.is_auxiliary(number):
            readers[key] = owners.pop()
    pairs = combinations(readers.items(), 2)
    tree = record.tree
    return next(((a, b) for (a, m), (b, n) in pairs if not related(tree, m, n)), None)


def swap(path: Path, left: NodeKey, right: NodeKey) -> None:
    """Give each of two nodes the other's tag."""
    model = onnx.load(path)
    entries = [
        next(entry for entry in node.metadata_props if entry.key == keys.TAG)
        for key, node in walk_nodes(model)
        if key in {left, right}
    ]
    entries[0].value, entries[1].value = entries[1].value, entries[0].value
    onnx.save(model, path)


@every_case
def test_right_tags_pass_and_swapped_ones_do_not(
    traced: TracedModels, name: str, exporter: str, annotated: Path
) -> None:
    """No fault in the file as annotated, with or without its record; both nodes when swapped."""
    done = traced(name, exporter)
    report = annotate(done.onnx_path, done.record, annotated)
    for record in (done.record, None):
        validation = validate(annotated, record=record, consistency=True)
        assert validation.faults == []
    pair = swappable(done.onnx_path, done.record, report)
    if pair is None:
        return  # all its weights are of modules that hold one another
    names = dict(walk_nodes(onnx.load(annotated)))
    swap(annotated, *pair)
    faults = validate(annotated, record=done.record, consistency=True).faults
    nodes = {fault.node for fault in faults}
    assert {f"{names[key].op_type} {names[key].name}" for key in pair} <= {
        str(node).partition(" in ")[0] for node in nodes
    }
    assert [fault for fault in faults if not fault.module or not fault.advice] == []


@pytest.mark.parametrize("name", ["bert", "unet", "lstm_stack", "called_twice"])
def test_there_is_something_to_swap(traced: TracedModels, name: str) -> None:
    """The test above swaps tags in models of several modules."""
    done = traced(name, "torchscript")
    report = annotate(done.onnx_path, done.record, None)
    assert swappable(done.onnx_path, done.record, report)
