"""Bodies of branches and loops: the exporter forgets their modules, the eager run knows them."""

import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from agreement.scrambling import scramble
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import NOT_RUN, feeds, truth
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraphs, walk_nodes
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.rewriter import annotate
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.execution.observer import Observer
from modelexport.tracer import record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.descendants import ZooModel
from tests.helpers.traced import TracedModels

HIGHER_ORDER = ["conditional", "nested_conditional", "while_loop", "scanned"]
WITH_SUBGRAPHS = [
    (name, exporter)
    for name in [*HIGHER_ORDER, "scripted_branch", "scripted_loop"]
    for exporter in EXPORTERS
    if exporter not in FIXTURES[name].refused_by
]
SHIFTS = (0.0, 150.0, 1000.0)
"""Added to the inputs, to take other branches."""


@pytest.mark.parametrize("name", HIGHER_ORDER)
def test_nodes_of_every_branch_have_their_module(traced: TracedModels, name: str) -> None:
    """Also of those that the example inputs do not take: other inputs do, and tell the truth."""
    done = traced(name, "dynamo")
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    inside = {key for key in recorded if key.graph != MAIN}
    ran: set[NodeKey] = set()
    wrong = {}
    model, given = FIXTURES[name].build()
    for shift in SHIFTS:
        inputs = tuple(t + shift if t.is_floating_point() else t for t in given)
        true = truth(model, inputs, done.onnx_path)
        ran |= {key for key in inside if true.unknown.get(key) != NOT_RUN}
        for key, modules in true.modules.items():
            if recorded[key] not in modules:
                wrong[key] = (recorded[key], modules)
    assert wrong == {}
    assert ran == inside


@pytest.mark.parametrize("name", HIGHER_ORDER)
def test_a_call_is_in_the_main_graph_or_in_a_subgraph(traced: TracedModels, name: str) -> None:
    """Calls in subgraphs have numbers of their own."""
    where = defaultdict(set)
    for op in traced(name, "dynamo").record.ops:
        if op.module:  # the root itself holds the subgraph
            where[op.module, op.call].add(op.graph == MAIN)
    assert where
    assert {call: places for call, places in where.items() if len(places) > 1} == {}


@pytest.mark.parametrize(("name", "exporter"), WITH_SUBGRAPHS)
def test_a_branch_or_loop_is_of_a_module_around_those_inside(
    traced: TracedModels, name: str, exporter: str
) -> None:
    """It gives back what was computed inside, but is not where that was computed."""
    done = traced(name, exporter)
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    holders = {
        key: [f"{key.graph}/{key.position}.{subgraph}" for subgraph, _ in subgraphs(node)]
        for key, node in walk_nodes(onnx.load(done.onnx_path))
        if key.graph == MAIN and any(True for _ in subgraphs(node))
    }
    assert holders
    for key, paths in holders.items():
        inside = {recorded[k] for k in recorded if k.graph in paths} - {None}
        module = recorded[key]
        assert module is not None
        assert inside
        assert [m for m in inside if m is not None and not is_within(m, module)] == []


def test_a_subgraph_that_cannot_run_is_told(tmp_path: Path) -> None:
    """A branch that only ever works on other inputs: parameters tell what they can, and no more.

    Why the rest is unknown is said.
    """

    class Picky(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(4, 16)
            self.rest = torch.nn.Linear(16, 16)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            def few(x: torch.Tensor) -> torch.Tensor:
                return self.rest(self.table(x)).tanh()

            def many(x: torch.Tensor) -> torch.Tensor:
                return self.rest(x[:, None].expand(-1, 16).float()).sin()

            y: torch.Tensor = torch.cond(ids.max() < 4, few, many, (ids,))
            return y

    model, ids = Picky().eval(), torch.tensor([1, 7, 9, 2])
    done = trace(model, ids, tmp_path / "picky.onnx", exporter="dynamo")
    assert [note for note in done.notes if "are unknown" in note]
    graph = onnx.load(done.onnx_path)
    assert any(True for _, node in walk_nodes(graph) for _ in subgraphs(node))
    true = truth(model, (ids,), done.onnx_path)
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    assert {k: recorded[k] for k in true.modules if recorded[k] not in true.modules[k]} == {}
    unknown = {k for k, module in recorded.items() if module is None and k.graph != MAIN}
    assert unknown
    owners = {
        NodeKey(op.graph, op.index): {
            name.rpartition(".")[0] for name in op.inputs if name in model.state_dict()
        }
        for op in done.record.ops
    }
    not_run = {k for k, why in true.unknown.items() if why == NOT_RUN}
    assert any(owners[key] for key in not_run)
    assert any(not owners[key] for key in not_run)
    for key in not_run:
        assert {recorded[key]} == (owners[key] or {None})


@pytest.mark.parametrize(("name", "exporter"), WITH_SUBGRAPHS)
def test_the_record_holds_what_subgraphs_compute_first(
    traced: TracedModels, name: str, exporter: str
) -> None:
    """What ran holds what it ran on first; both branches of an If hold something."""
    done = traced(name, exporter)
    model, inputs = FIXTURES[name].build()
    graph = onnx.load(done.onnx_path).graph
    observed = observe(done.onnx_path, feeds(model, inputs, graph))
    inside = [op for op in done.record.ops if op.graph != MAIN]
    ran = 0
    for op in inside:
        first = observed.executions.get(NodeKey(op.graph, op.index), [])[:1]
        expected = [value_fingerprint(array) for each in first for array in each.outputs]
        for known, true in zip(op.values, expected, strict=bool(first)):
            assert (known is None) == (true is None)
            if known is not None and true is not None:
                ran += 1
                assert known.shape == true.shape
                assert np.allclose(known.statistics(), true.statistics(), rtol=1e-5, atol=1e-6)
    assert ran
    assert [op for op in inside if not any(op.values)] == []


@pytest.mark.parametrize(("name", "exporter"), WITH_SUBGRAPHS)
def test_values_in_subgraphs_tell_in_any_file(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """Nothing in the file has a name that says anything, and subgraphs are right all the same."""
    done = traced(name, exporter)
    onnx.save(scramble(onnx.load(done.onnx_path)), tmp_path / "scrambled.onnx")
    report = annotate(tmp_path / "scrambled.onnx", done.record, tmp_path / "out.onnx")
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    known = {key: module for key, module in recorded.items() if module is not None}
    assert {d.key: d.module for d in report.decisions if d.key in known} == known
    by_values = {d.key for d in report.decisions if d.evidence == EvidenceKind.VALUES}
    assert [key for key in by_values if key.graph != MAIN]


@pytest.mark.parametrize("name", ["conditional", "nested_conditional", "while_loop"])
def test_an_eager_record_knows_what_is_inside(
    traced: TracedModels, name: str, tmp_path: Path
) -> None:
    """Also in the branch that was not taken: its nodes have the modules of the exported record."""
    done = traced(name, "dynamo")
    eager = record(*FIXTURES[name].build(), tmp_path / "r.json", exporter="eager").record
    onnx.save(scramble(onnx.load(done.onnx_path)), tmp_path / "scrambled.onnx")
    report = annotate(tmp_path / "scrambled.onnx", eager, tmp_path / "out.onnx")
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    known = {key: module for key, module in recorded.items() if module is not None}
    assert any(key.graph != MAIN for key in known)
    assert {d.key: d.module for d in report.decisions if d.key in known} == known


@pytest.mark.parametrize("name", HIGHER_ORDER)
def test_subgraphs_of_an_optimised_file(traced: TracedModels, name: str, tmp_path: Path) -> None:
    """Fused nodes in subgraphs are of a module whose work they do, not of the module around."""
    model = ZooModel(name, traced(name, "dynamo"), tmp_path)
    path, true = model.rewritten("onnxruntime-extended")
    report = annotate(path, model.traced.record, tmp_path / "out.onnx")
    inside = {d.key: d.module for d in report.decisions if d.key.graph != MAIN}
    known = true.modules.keys() & inside.keys()
    assert known
    assert {key: inside[key] for key in known if inside[key] not in true.modules[key]} == {}


class Wave(torch.nn.Module):
    """A step without parameters."""

    def __init__(self, speed: float) -> None:
        super().__init__()
        self.speed = speed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As fast as it is."""
        return torch.sin(x * self.speed)


class Waves(torch.nn.Module):
    """Two steps in either branch that nothing but their numbers tells apart."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = Wave(1.5), Wave(4.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Their sum, or their product."""

        def added(y: torch.Tensor) -> torch.Tensor:
            return self.slow(y) + self.fast(y)

        def multiplied(y: torch.Tensor) -> torch.Tensor:
            return self.fast(y) * self.slow(y)

        actual: torch.Tensor = torch.cond(x.mean() > 0, added, multiplied, (x,))
        return actual


def test_what_only_numbers_tell_apart_in_a_subgraph(tmp_path: Path) -> None:
    """The steps change places, and so do the operands of what joins them."""
    torch.manual_seed(0)
    done = trace(Waves().eval(), (torch.randn(4, 8),), tmp_path / "a.onnx", exporter="dynamo")
    model = scramble(onnx.load(done.onnx_path))
    places: dict[NodeKey, NodeKey] = {}
    for key, node in list(walk_nodes(model)):
        for name, subgraph in subgraphs(node):
            path = f"{key.graph}/{key.position}.{name}"
            *steps, last = subgraph.node
            half = len(steps) // 2
            order = [*range(half, len(steps)), *range(half), len(steps)]
            places |= {NodeKey(path, new): NodeKey(path, old) for new, old in enumerate(order)}
            last.input[:] = reversed(last.input)
            moved = [subgraph.node[old] for old in order]
            moved = [onnx.NodeProto.FromString(each.SerializeToString()) for each in moved]
            del subgraph.node[:]
            subgraph.node.extend(moved)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "b.onnx")
    report = annotate(tmp_path / "b.onnx", done.record, tmp_path / "c.onnx")
    recorded = {NodeKey(op.graph, op.index): op.module for op in done.record.ops}
    actual = {d.key: d.module for d in report.decisions if d.key in places}
    assert {"slow", "fast"} <= set(actual.values())
    assert actual == {key: recorded[places[key]] for key in places}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # onnx's own data
def test_subgraphs_of_onnx_s_own_suite(tmp_path: Path) -> None:
    """Values are observed in all subgraphs that run on tensors, in those of each Scan, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx's own, of its own data
        from onnx.backend.test.case.node import collect_testcases  # noqa: PLC0415 - it warns

        cases = [case for case in collect_testcases("") if case.model is not None]
    scans = set()
    inside: dict[str, int] = {}
    for case in cases:
        nodes = [node for node in case.model.graph.node if any(True for _ in subgraphs(node))]
        arrays = case.data_sets[0][0]
        if not nodes or any(isinstance(array, list) for array in arrays):
            continue
        path = tmp_path / f"{case.name}.onnx"
        onnx.save(case.model, path)
        names = [value.name for value in case.model.graph.input]
        feeds = {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}
        with OnnxContainer.open(path) as container:
            observer = Observer(container, container.skeleton(), 0)
            try:
                prints = observer.fingerprints(feeds, INFINITY_THRESHOLD)
            except RuntimeFailedError:
                continue  # onnxruntime has no kernel for it
        inside[case.name] = len([name for graph, name in prints if graph != MAIN])
        if {node.op_type for node in nodes} == {"Scan"} and all(all(n.input) for n in nodes):
            scans.add(case.name)
    assert scans
    assert {name for name, count in inside.items() if not count} & scans == set()


def test_fixtures_have_such_subgraphs() -> None:
    """Every fixture with a subgraph that one exporter alone can write is looked at here."""
    assert set(HIGHER_ORDER) == {
        name for name, f in FIXTURES.items() if set(f.refused_by) == set(EXPORTERS) - {"dynamo"}
    }
