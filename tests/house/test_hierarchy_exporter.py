"""The main job on every fixture with every exporter: trace, annotate, compare with the truth."""

import json
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from fixtures_gen.truth import truth
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import ExportFailedError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter import AnnotateReport, annotate, strip
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.traced import TracedModels

if TYPE_CHECKING:
    from fixtures_gen.registry import Inputs

CASES = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    for exporter in EXPORTERS
    if exporter not in fixture.refused_by
]
REFUSED = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    for exporter in fixture.refused_by
]


class Done:
    """One fixture, traced and annotated."""

    def __init__(self, name: str, exporter: str, folder: Path) -> None:
        self.model: torch.nn.Module
        self.inputs: Inputs
        self.model, self.inputs = FIXTURES[name].build()
        self.plain, self.annotated = folder / "m.onnx", folder / "m.annotated.onnx"
        self.traced: TraceResult = trace(self.model, self.inputs, self.plain, exporter=exporter)
        self.report: AnnotateReport = annotate(
            self.plain, self.traced.record_path, self.annotated, report=folder / "report.json"
        )


@pytest.fixture(scope="module")
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """The fixture of this case; made once for all tests of it."""
    name, exporter = request.param
    return Done(name, exporter, tmp_path_factory.mktemp(f"{name}-{exporter}"))


every_case = pytest.mark.parametrize(
    "done", [pytest.param(p.values, id=p.id) for p in CASES], indirect=True, scope="module"
)


@every_case
def test_every_node_has_its_module(done: Done) -> None:
    """Every node, subgraphs included, has a tag, and the tags agree with the eager truth."""
    graph = onnx.load(done.annotated)
    tagged = {
        key: {entry.key: entry.value for entry in node.metadata_props}
        for key, node in walk_nodes(graph)
    }
    assert [key for key, metadata in tagged.items() if keys.TAG not in metadata] == []
    modules = {NodeKey(d.graph, d.position): [d.module, *d.covers] for d in done.report.decisions}
    true = truth(done.model, done.inputs, done.plain)
    tree = done.traced.record.tree
    wrong = {}
    for key, paths in true.settled.items():
        said = {tree.canonical(m) for m in modules[key] if m is not None}
        if not said & {tree.canonical(p) for p in paths}:
            wrong[key] = (said, paths)
    assert wrong == {}
    assert true.settled


@every_case
def test_strip_gives_back_the_very_bytes(done: Done, tmp_path: Path) -> None:
    """Annotate followed by strip is the plain file, byte for byte."""
    strip(done.annotated, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").read_bytes() == done.plain.read_bytes()
    assert done.annotated.read_bytes() != done.plain.read_bytes()


@every_case
def test_outputs_are_those_of_torch(done: Done) -> None:
    """The plain file computes what the model computes, and the annotated one its very bits."""
    feeds = {p.name: p.array() for p in done.traced.record.probe.inputs}
    plain, annotated = (
        ort.InferenceSession(str(path)).run(None, feeds) for path in (done.plain, done.annotated)
    )
    assert [value.tobytes() for value in plain] == [value.tobytes() for value in annotated]
    with torch.no_grad():
        outputs = (
            done.model(**done.inputs) if isinstance(done.inputs, dict) else done.model(*done.inputs)
        )
    first = next(iter(outputs.values())) if isinstance(outputs, dict) else outputs
    first = first[0] if isinstance(first, tuple) else first
    np.testing.assert_allclose(plain[0], first.numpy(), rtol=1e-3, atol=1e-4)


@every_case
def test_file_is_plain(done: Done) -> None:
    """No scope, stack trace or path of the machine is in the plain file."""
    data = done.plain.read_bytes()
    for word in (keys.TORCH_PREFIX, keys.NAMESPACE, str(Path.home()), torch.__path__[0]):
        assert word.encode() not in data
    graph = onnx.load(done.plain)
    nodes = [node for _, node in walk_nodes(graph)]
    assert nodes
    assert not graph.metadata_props
    assert not [node.name for node in nodes if node.metadata_props or node.doc_string]


@every_case
def test_record_describes_the_model(done: Done) -> None:
    """The record holds every path of `named_modules()`, and every node of the file in order."""
    record = done.traced.record
    named = dict(done.model.named_modules(remove_duplicate=False))
    assert named
    assert [m.path for m in record.modules] == list(named)
    assert [m.class_name for m in record.modules] == [type(m).__name__ for m in named.values()]
    for module in record.modules:
        if module.alias_of is not None:
            assert named[module.alias_of] is named[module.path]
        own = {name for name, _ in named[module.path].named_parameters(recurse=False)}
        assert own == {p.name for p in module.parameters if p.name in own}
    graph = onnx.load(done.plain)
    assert record.digest == graph_digest(graph)
    assert [(op.graph, op.index, op.name) for op in record.ops] == [
        (key.graph, key.position, node.name) for key, node in walk_nodes(graph)
    ]
    assert {op.module for op in record.ops} - {None} <= set(named)


@every_case
def test_record_holds_no_path_of_the_machine(done: Done) -> None:
    """Source lines are relative to their packages."""
    text = done.traced.record_path.read_text()
    assert str(Path.home()) not in text
    assert torch.__path__[0] not in text
    sources = [op.source for op in done.traced.record.ops if op.source]
    assert sources
    assert all(not source.startswith("/") for source in sources)


@every_case
def test_calls_are_counted(done: Done) -> None:
    """A module's calls are those that hooks count, and its ops belong to one of them.

    Higher-order operators compile what they run, hooks and all, unless they are kept from it.
    """
    counted: dict[torch.nn.Module, int] = {}

    def count(module: torch.nn.Module, *_: object) -> None:
        counted[module] = counted.get(module, 0) + 1

    handles = [m.register_forward_pre_hook(count) for m in done.model.modules()]
    with torch.no_grad(), mock.patch("torch.compile", lambda function, **_: function):
        if isinstance(done.inputs, dict):
            done.model(**done.inputs)
        else:
            done.model(*done.inputs)
    for handle in handles:
        handle.remove()
    named = dict(done.model.named_modules(remove_duplicate=False))
    calls = {m.path: m.calls for m in done.traced.record.modules if m.calls is not None}
    assert calls
    assert calls == {path: counted.get(named[path], 0) for path in calls}
    numbered = [op for op in done.traced.record.ops if op.module in calls]
    assert numbered
    assert [op.name for op in numbered if op.call >= max(1, calls[op.module])] == []


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ["shared_module", "called_twice"])
def test_calls_of_one_module_are_counted_together(
    traced: TracedModels, name: str, exporter: str
) -> None:
    """Under whichever path a shared module is called, its calls count on in their order."""
    record = traced(name, exporter).record
    seen: dict[str, list[int]] = {}
    for op in record.ops:
        if op.module is not None:
            seen.setdefault(op.module, []).append(op.call)
    often = {m.path: m.calls for m in record.modules if m.calls and m.calls > 1 and m.path in seen}
    assert often
    assert {path: list(dict.fromkeys(seen[path])) for path in often} == {
        path: list(range(calls)) for path, calls in often.items()
    }


def unchanged(result: TraceResult) -> list[tuple[str, str]]:
    """Initializers that are a parameter, not several folded into one; each with its parameter."""
    ops, tensors = result.record.ops, result.record.tensors
    folded = {name for op in ops if op.also for name in op.inputs}
    plain = (tensor for tensor in tensors if not tensor.graph and tensor.name not in folded)
    return [(tensor.name, tensor.parameter) for tensor in plain if tensor.parameter is not None]


@every_case
def test_parameters_are_found_behind_initializers(done: Done) -> None:
    """An initializer that a parameter is said to be holds its numbers, transposed or not."""
    named = dict(done.model.named_parameters()) | dict(done.model.named_buffers())
    graph = onnx.load(done.plain)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    parameters = {name: named[path].detach().numpy() for name, path in unchanged(done.traced)}
    assert parameters.keys() <= arrays.keys()
    differing = {
        name: parameter
        for name, parameter in parameters.items()
        if not np.array_equal(np.sort(arrays[name], axis=None), np.sort(parameter, axis=None))
    }
    assert differing == {}


@every_case
def test_covers_hold_several_modules(done: Done) -> None:
    """A node with several origins has their common ancestor as its module."""
    assert done.report.decisions
    several = [decision for decision in done.report.decisions if decision.covers]
    assert [decision for decision in several if len(decision.covers) == 1] == []
    assert [
        (path, decision.module)
        for decision in several
        for path in decision.covers
        if decision.module is None or not is_within(path, decision.module)
    ] == []


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_there_are_parameters_and_covers_to_check(traced: TracedModels, exporter: str) -> None:
    """The two tests above have something to look at."""
    result = traced("conv_batchnorm", exporter)
    assert unchanged(result)
    assert [d for d in annotate(result.onnx_path, result.record, None).decisions if d.covers]


@pytest.mark.parametrize(("name", "exporter"), REFUSED)
def test_what_is_said_to_be_refused_is(name: str, exporter: str, tmp_path: Path) -> None:
    """A fixture that an exporter is said to refuse is refused in one sentence; nothing is left."""
    model, inputs = FIXTURES[name].build()
    with pytest.raises(ExportFailedError, match=exporter):
        trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    assert list(tmp_path.iterdir()) == []


def test_report_is_json(tmp_path: Path) -> None:
    """The report file holds every decision."""
    name = next(iter(FIXTURES))
    done = Done(name, next(iter(EXPORTERS)), tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert len(written["decisions"]) == done.report.nodes == len(done.traced.record.ops)
