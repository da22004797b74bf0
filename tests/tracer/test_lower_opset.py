"""Opsets below an exporter's lowest: the same nodes, values and record, or a note."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import parser
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES, graph_digest
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.opsets import default_opset
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.exporters.opset_conversion import NotConvertibleError, convert_opset
from modelexport.tracer.exporters.opset_ranges import DYNAMO_MIN_OPSET
from modelexport.tracer.records import lower_opset as module
from modelexport.tracer.records.lower_opset import lower_opset
from modelexport.tracer.sources.signature import ModelCall, bind_inputs
from modelexport.tracer.tracing import DEFAULT_OPSET
from tests.helpers.traced import open_session

HEADER = f'<ir_version: 10, opset_import: ["" : {DYNAMO_MIN_OPSET}]>'
MEAN = "<keepdims = 1, noop_with_empty_axes = 0>"
CONVERTIBLE = {
    "axes become an attribute": f"""{HEADER} g (float[2,6] x) => (float[2,1] y)
        <int64[1] axes = {{1}}> {{ y = ReduceMean {MEAN} (x, axes) }}""",
    "in a branch": f"""{HEADER} g (float[2,6] x) => (float[2,1] y) <int64[1] axes = {{1}}> {{
        total = ReduceSum <keepdims = 0> (x)
        zero = Sub (total, total)
        above = Less (zero, total)
        y = If (above) <
            then_branch = t () => (float[2,1] a) {{ a = ReduceMax {MEAN} (x, axes) }},
            else_branch = e () => (float[2,1] b) {{ b = ReduceMin {MEAN} (x, axes) }}
        >
    }}""",
    "an even split": f"""{HEADER} g (float[2,6] x) => (float[2,2] a, float[2,2] b, float[2,2] c)
        {{ a, b, c = Split <axis = 1, num_outputs = 3> (x) }}""",
    "the same in both opsets": f"""{HEADER} g (float[2,6] x) => (float[2,8] y)
        <int64[4] pads = {{0, 1, 0, 1}}> {{ y = Pad (x, pads) }}""",
}
REFUSED = {
    "an operator of the newer opset": (
        "BitwiseAnd",
        f"{HEADER} g (int32[2] x) => (int32[2] y) {{ y = BitwiseAnd (x, x) }}",
    ),
    "an input of the newer opset": (
        "Pad",
        f"""{HEADER} g (float[2,6] x) => (float[2,8] y)
        <int64[2] pads = {{1, 1}}, float zero = {{0}}, int64[1] axes = {{1}}>
        {{ y = Pad (x, pads, zero, axes) }}""",
    ),
    "an uneven split": (
        "Split",
        f"""{HEADER} g (float[2,5] x) => (float[2,3] a, float[2,2] b)
        {{ a, b = Split <axis = 1, num_outputs = 2> (x) }}""",
    ),
    "a split of unknown extent": (
        "Split",
        f"""{HEADER} g (float[2,N] x) => (float[2,H] a, float[2,H] b)
        {{ a, b = Split <axis = 1, num_outputs = 2> (x) }}""",
    ),
    "functions": (
        "functions",
        f"""<ir_version: 10, opset_import: ["" : {DYNAMO_MIN_OPSET}, "local" : 1]>
        g (float[2] x) => (float[2] y) {{ y = local.f (x) }}
        <domain: "local", opset_import: ["" : {DYNAMO_MIN_OPSET}]>
        f (x) => (y) {{ y = Abs (x) }}""",
    ),
}


def exported(text: str) -> ExportedGraph:
    model = parser.parse_model(text)
    for number, (_, node) in enumerate(walk_nodes(model)):
        node.name = f"n{number}"
    return ExportedGraph(Exporter.DYNAMO, model, {}, {}, {}, DYNAMO_MIN_OPSET)


@pytest.mark.parametrize("text", CONVERTIBLE.values(), ids=CONVERTIBLE.keys())
def test_a_graph_keeps_its_nodes_and_values(text: str, tmp_path: Path) -> None:
    """Names, places, outputs; the original is not touched; nothing unread is left behind."""
    graph = exported(text)
    before = graph.model.SerializeToString()
    converted = convert_opset(graph, DEFAULT_OPSET)
    onnx.checker.check_model(converted.model, full_check=True)
    assert graph.model.SerializeToString() == before
    assert (default_opset(converted.model), converted.opset) == (DEFAULT_OPSET, DEFAULT_OPSET)
    keys = [
        [(key, node.name, node.op_type, tuple(node.output)) for key, node in walk_nodes(model)]
        for model in (graph.model, converted.model)
    ]
    assert keys[0] == keys[1]
    read = {name for _, node in walk_nodes(converted.model) for name in node.input}
    assert {tensor.name for tensor in converted.model.graph.initializer} <= read
    x = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32)
    outputs: list[list[bytes]] = []
    for model in (graph.model, converted.model):
        onnx.save(model, tmp_path / "m.onnx")
        arrays = open_session(tmp_path / "m.onnx").run(None, {"x": x})
        outputs.append([array.tobytes() for array in arrays])
    assert outputs[0] == outputs[1]
    assert outputs[0]


@pytest.mark.parametrize(("named", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_stands_in_the_way_is_named(named: str, text: str) -> None:
    with pytest.raises(NotConvertibleError, match=named):
        convert_opset(exported(text), DEFAULT_OPSET)


class Normed(nn.Module):
    """A weight that stays in memory, a mean over an axis, parts of even size."""

    def __init__(self) -> None:
        super().__init__()
        width = 3 * int(MIN_WEIGHT_BYTES**0.5)
        self.dense = nn.Linear(width, width)
        self.norm = nn.RMSNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.norm(self.dense(x)).chunk(3, dim=-1)
        return parts[0] * parts[1] + parts[2].mean(-1, keepdim=True)


def traced_at(model: nn.Module, x: torch.Tensor, path: Path, opset: int) -> TraceResult:
    return trace(model, x, path / f"m{opset}.onnx", exporter=Exporter.DYNAMO, opset=opset)


def test_the_record_follows_a_converted_file(tmp_path: Path) -> None:
    """Scopes, source lines and values of each node, by the output; the file's digest."""
    model = Normed().eval()
    x = torch.randn(2, model.dense.in_features)
    opsets = (DEFAULT_OPSET, DYNAMO_MIN_OPSET)
    low, high = (traced_at(model, x, tmp_path, opset) for opset in opsets)
    files = [onnx.load(result.onnx_path) for result in (low, high)]
    assert [default_opset(file) for file in files] == [DEFAULT_OPSET, DYNAMO_MIN_OPSET]
    assert [r.record.source.opset for r in (low, high)] == [DEFAULT_OPSET, DYNAMO_MIN_OPSET]
    assert low.record.digest == graph_digest(files[0]) != high.record.digest
    facts = [
        [(op.outputs, op.op_type, op.module, op.call, op.source) for op in r.record.ops]
        for r in (low, high)
    ]
    assert facts[0] == facts[1]
    results = [open_session(r.onnx_path).run(None, {"x": x.numpy()}) for r in (low, high)]
    np.testing.assert_array_equal(*results)
    assert any(f"converted from {DYNAMO_MIN_OPSET}" in note for note in low.notes)
    assert not any(str(DEFAULT_OPSET) in note for note in high.notes)


def call_of(graph: ExportedGraph) -> ModelCall:
    """A call with a tensor of ones for the input of a graph."""
    value = graph.model.graph.input[0].type.tensor_type
    dtype = torch.from_numpy(np.zeros(1, onnx.helper.tensor_dtype_to_np_dtype(value.elem_type)))
    x = torch.ones([dim.dim_value for dim in value.shape.dim], dtype=dtype.dtype)
    return bind_inputs(Abs(), x)


class Abs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.abs(x)


def assert_kept(graph: ExportedGraph, result: ExportedGraph, reason: str) -> None:
    (note,) = result.notes
    assert result.model == graph.model
    assert result.opset == DYNAMO_MIN_OPSET
    assert f"{DYNAMO_MIN_OPSET} instead of {DEFAULT_OPSET}" in note
    assert reason in note


def test_a_graph_that_cannot_be_converted_stays() -> None:
    """And the note names the operator."""
    operator, text = REFUSED["an operator of the newer opset"]
    graph = exported(text)
    assert_kept(graph, lower_opset(graph, call_of(graph), DEFAULT_OPSET), operator)


def test_without_weights_nothing_is_converted() -> None:
    """No values tell whether the conversion is right."""
    graph = exported(CONVERTIBLE["axes become an attribute"])
    call = replace(call_of(graph), mode=FakeTensorMode())
    assert_kept(graph, lower_opset(graph, call, DEFAULT_OPSET), "without weights")
    lowered = lower_opset(graph, call_of(graph), DEFAULT_OPSET)
    assert lowered.opset == DEFAULT_OPSET
    assert lower_opset(lowered, call, DEFAULT_OPSET) is lowered


def test_other_values_keep_the_graph_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion that computes something else is not used."""
    graph = exported(f"{HEADER} g (float[3] x) => (float[3] y) {{ y = Abs (x) }}")
    wrong = exported(f"{HEADER} g (float[3] x) => (float[3] y) {{ y = Neg (x) }}")
    monkeypatch.setattr(module, "convert_opset", lambda *_: replace(wrong, opset=DEFAULT_OPSET))
    kept = lower_opset(graph, call_of(graph), DEFAULT_OPSET)
    assert_kept(graph, kept, f"other values of {graph.model.graph.output[0].name}")
