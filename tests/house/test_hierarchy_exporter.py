"""The main job on every fixture with every exporter: trace, annotate, compare with the truth."""

import json
from dataclasses import dataclass
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
from tests.helpers.traced import CASES, TracedModels

if TYPE_CHECKING:
    from fixtures_gen.registry import Inputs

REFUSED = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    for exporter in fixture.refused_by
]


@dataclass(frozen=True)
class Annotated:
    """A model of the zoo, traced and annotated."""

    model: torch.nn.Module
    inputs: "Inputs"
    traced: TraceResult
    file: Path
    report: AnnotateReport

    def run(self) -> object:
        """What the model computes from its inputs."""
        with torch.no_grad():
            if isinstance(self.inputs, dict):
                return self.model(**self.inputs)
            return self.model(*self.inputs)


@pytest.fixture(scope="module")
def annotated(
    request: pytest.FixtureRequest,
    traced: TracedModels,
    tmp_path_factory: pytest.TempPathFactory,
) -> Annotated:
    """The model of this case; annotated once for all tests of it."""
    name, exporter = request.param
    result = traced(name, exporter)
    file = tmp_path_factory.mktemp(f"{name}-{exporter}") / "annotated.onnx"
    report = annotate(result.onnx_path, result.record_path, file)
    return Annotated(*FIXTURES[name].build(), result, file, report)


every_case = pytest.mark.parametrize(
    "annotated", [pytest.param(p.values, id=p.id) for p in CASES], indirect=True, scope="module"
)


@every_case
def test_every_node_has_its_module(annotated: Annotated) -> None:
    """Every node, subgraphs included, has a tag, and the tags agree with the eager truth."""
    graph = onnx.load(annotated.file)
    tagged = {
        key: {entry.key: entry.value for entry in node.metadata_props}
        for key, node in walk_nodes(graph)
    }
    assert [key for key, metadata in tagged.items() if keys.TAG not in metadata] == []
    modules = {
        NodeKey(d.graph, d.position): [d.module, *d.covers] for d in annotated.report.decisions
    }
    true = truth(annotated.model, annotated.inputs, annotated.traced.onnx_path)
    tree = annotated.traced.record.tree
    wrong = {}
    for key, paths in true.modules.items():
        said = {tree.canonical(m) for m in modules[key] if m is not None}
        if not said & {tree.canonical(p) for p in paths}:
            wrong[key] = (said, paths)
    assert wrong == {}
    assert true.modules


@every_case
def test_strip_gives_back_the_very_bytes(annotated: Annotated, tmp_path: Path) -> None:
    """Annotate followed by strip is the plain file, byte for byte."""
    strip(annotated.file, tmp_path / "s.onnx")
    assert (tmp_path / "s.onnx").read_bytes() == annotated.traced.onnx_path.read_bytes()
    assert annotated.file.read_bytes() != annotated.traced.onnx_path.read_bytes()


@every_case
def test_outputs_are_those_of_torch(annotated: Annotated) -> None:
    """The plain file computes what the model computes, and the annotated one its very bits."""
    feeds = {p.name: p.to_array() for p in annotated.traced.record.probe.inputs}
    plain, tagged = (
        ort.InferenceSession(str(path)).run(None, feeds)
        for path in (annotated.traced.onnx_path, annotated.file)
    )
    assert [value.tobytes() for value in plain] == [value.tobytes() for value in tagged]
    outputs = annotated.run()
    first = next(iter(outputs.values())) if isinstance(outputs, dict) else outputs
    first = first[0] if isinstance(first, tuple) else first
    np.testing.assert_allclose(plain[0], first.numpy(), rtol=1e-3, atol=1e-4)


@every_case
def test_file_is_plain(annotated: Annotated) -> None:
    """No scope, stack trace or path of the machine is in the plain file."""
    data = annotated.traced.onnx_path.read_bytes()
    prefix, _, _ = keys.TORCH_NAME_SCOPES.partition("onnx")
    for word in (prefix, keys.NAMESPACE, str(Path.home()), torch.__path__[0]):
        assert word.encode() not in data
    graph = onnx.load(annotated.traced.onnx_path)
    nodes = [node for _, node in walk_nodes(graph)]
    assert nodes
    assert not graph.metadata_props
    assert not [node.name for node in nodes if node.metadata_props or node.doc_string]


@every_case
def test_record_describes_the_model(annotated: Annotated) -> None:
    """The record holds every path of `named_modules()`, and every node of the file in order."""
    record = annotated.traced.record
    named = dict(annotated.model.named_modules(remove_duplicate=False))
    assert named
    assert [m.path for m in record.modules] == list(named)
    assert [m.class_name for m in record.modules] == [type(m).__name__ for m in named.values()]
    for module in record.modules:
        if module.alias_of is not None:
            assert named[module.alias_of] is named[module.path]
        own = {name for name, _ in named[module.path].named_parameters(recurse=False)}
        assert own == {p.name for p in module.parameters if p.name in own}
    graph = onnx.load(annotated.traced.onnx_path)
    assert record.digest == graph_digest(graph)
    assert [(op.graph, op.index, op.name) for op in record.ops] == [
        (key.graph, key.position, node.name) for key, node in walk_nodes(graph)
    ]
    assert {op.module for op in record.ops} - {None} <= set(named)


@every_case
def test_record_holds_no_path_of_the_machine(annotated: Annotated) -> None:
    """Source lines are relative to their packages."""
    text = annotated.traced.record_path.read_text()
    assert str(Path.home()) not in text
    assert torch.__path__[0] not in text
    sources = [op.source for op in annotated.traced.record.ops if op.source]
    assert sources
    assert all(not source.startswith("/") for source in sources)


@every_case
def test_calls_are_counted(annotated: Annotated) -> None:
    """A module's calls are those that hooks count, and its ops belong to one of them.

    Higher-order operators compile what they run, hooks and all, unless they are kept from it.
    """
    counted: dict[torch.nn.Module, int] = {}

    def count(module: torch.nn.Module, *_: object) -> None:
        counted[module] = counted.get(module, 0) + 1

    handles = [m.register_forward_pre_hook(count) for m in annotated.model.modules()]
    with mock.patch("torch.compile", lambda function, **_: function):
        annotated.run()
    for handle in handles:
        handle.remove()
    named = dict(annotated.model.named_modules(remove_duplicate=False))
    calls = {m.path: m.calls for m in annotated.traced.record.modules if m.calls is not None}
    assert calls
    assert calls == {path: counted.get(named[path], 0) for path in calls}
    numbered = [op for op in annotated.traced.record.ops if op.module in calls]
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
def test_parameters_are_found_behind_initializers(annotated: Annotated) -> None:
    """An initializer that a parameter is said to be holds its numbers, transposed or not."""
    named = dict(annotated.model.named_parameters()) | dict(annotated.model.named_buffers())
    graph = onnx.load(annotated.traced.onnx_path)
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in graph.graph.initializer}
    parameters = {name: named[path].detach().numpy() for name, path in unchanged(annotated.traced)}
    assert parameters.keys() <= arrays.keys()
    differing = {
        name: parameter
        for name, parameter in parameters.items()
        if not np.array_equal(np.sort(arrays[name], axis=None), np.sort(parameter, axis=None))
    }
    assert differing == {}


@every_case
def test_covers_hold_several_modules(annotated: Annotated) -> None:
    """A node with several origins has their common ancestor as its module."""
    assert annotated.report.decisions
    several = [decision for decision in annotated.report.decisions if decision.covers]
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


def test_report_is_json(traced: TracedModels, tmp_path: Path) -> None:
    """The report file holds every decision."""
    result = traced(next(iter(FIXTURES)), next(iter(EXPORTERS)))
    report = annotate(result.onnx_path, result.record, None, report=tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert len(written["decisions"]) == report.nodes == len(result.record.ops)
