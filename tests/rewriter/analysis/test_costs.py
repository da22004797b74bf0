"""Multiplications and bytes by module, from shapes alone."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from agreement.kept import ORT_EXTENDED
from agreement.lossy import DYNAMIC, FOUR_BITS
from agreement.steps import Conversion, Step
from fixtures_gen.registry import inputs_as_call
from fixtures_gen.truth import feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import UsageError
from modelexport.hierarchy.record import Record
from modelexport.rewriter import AnnotateReport, analyze, annotate
from modelexport.rewriter.analysis.analyze_file import analyze_model
from modelexport.rewriter.analysis.costs.sizes import tensor_bytes
from modelexport.rewriter.annotation.model_file import LoadedModel
from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.handmade import parse
from tests.helpers.traced import TracedModels, open_session

COUNTED = {
    "torchscript": ("bert", "llama", "vit", "t5", "resnet", "module_containers", "no_parameters"),
    "dynamo": ("conv_batchnorm", "shared_module", "tied_weights"),
}
CASES = [(name, exporter) for exporter, names in COUNTED.items() for name in names]


def flops_by_module(name: str) -> dict[str, int]:
    """What torch counts by module path, two for each multiplication and addition."""
    model, inputs = FIXTURES[name].build()
    arguments, named = inputs_as_call(inputs)
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(*arguments, **named)
    root = type(model).__name__
    counts = {path: sum(ops.values()) for path, ops in counter.get_flop_counts().items()}
    return {
        path.removeprefix(root).removeprefix("."): count
        for path, count in counts.items()
        if path == root or path.startswith(root + ".")
    }


def outside(report: AnnotateReport, record: Record) -> set[str]:
    """Modules of which nodes elsewhere do some work, or that are called under several names."""
    actual = {path for m in record.modules if m.alias_of for path in (m.path, m.alias_of)}
    actual |= {
        m.path for m in record.modules for path in set(actual) if path.startswith(m.path + ".")
    }
    for decision in report.decisions:
        for path in decision.covers:
            above = path
            while above and above != decision.module:
                actual.add(above)
                above = above.rpartition(".")[0]
    return actual


@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_macs_are_half_of_what_torch_counts(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """In all, and for every module that torch reports and that has its nodes to itself."""
    done = traced(name, exporter)
    report = annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    flops = flops_by_module(name)
    assert (2 * analysis.macs, analysis.unknown_macs) == (flops[""], 0)
    rows = {row.path: row for row in analysis.modules}
    alone = flops.keys() & rows.keys() - outside(report, done.record)
    assert alone
    for path in alone:
        assert 2 * rows[path].macs == flops[path], path


@pytest.mark.parametrize("step", [ORT_EXTENDED, DYNAMIC, FOUR_BITS], ids=lambda step: step.name)
def test_what_tools_make_of_a_file_multiplies_as_much(
    traced: TracedModels, step: Step, tmp_path: Path
) -> None:
    """Fused and quantised operators do the same products; quantised weights take less room."""
    done, target = traced("bert", "torchscript"), tmp_path / "b.onnx"
    inputs = feeds(*FIXTURES["bert"].build(), onnx.load(done.onnx_path).graph)
    step.apply(Conversion(done.onnx_path, target, inputs))
    plain, changed = analyze(done.onnx_path), analyze(target)
    assert (changed.macs, changed.unknown_macs) == (plain.macs, 0)
    if step is not ORT_EXTENDED:
        assert changed.weight_bytes < plain.weight_bytes


@pytest.mark.parametrize("name", ["resnet", "lstm_stack"])
def test_bytes_are_those_of_the_values(traced: TracedModels, name: str, tmp_path: Path) -> None:
    """Every value's size is what onnxruntime gives for it; every weight's what is stored."""
    done = traced(name, "dynamo")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    model = onnx.load(done.onnx_path)
    stored = [onnx.numpy_helper.to_array(w).nbytes for w in model.graph.initializer]
    constants = [a.t for n in model.graph.node if n.op_type == "Constant" for a in n.attribute]
    stored += [onnx.numpy_helper.to_array(tensor).nbytes for tensor in constants]
    assert analysis.weight_bytes == sum(stored)
    assert analysis.unknown_activations == 0
    graph = ModelGraph(model)
    names = [o for n, node in enumerate(model.graph.node) if not graph.derived[n]
             for o in node.output if o]  # fmt: skip
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in outputs)
    onnx.save(model, tmp_path / "shown.onnx")
    inputs = {entry.name: entry.to_array() for entry in done.record.probe.inputs}
    values = open_session(tmp_path / "shown.onnx").run(names, inputs)
    assert analysis.activation_bytes == sum(np.asarray(value).nbytes for value in values)


def test_rows_add_up(traced: TracedModels, tmp_path: Path) -> None:
    """A module's costs are its own and those below it; the root's are the file's."""
    done = traced("bert", "torchscript")
    annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    top = analysis.modules[0]
    assert (top.macs, top.weight_bytes) == (analysis.macs, analysis.weight_bytes)
    below = [row for row in analysis.modules if row.depth == 1]
    assert sum(row.macs for row in below) == analysis.macs
    assert sum(top.evidence.values()) == analysis.tagged


GRAPH = """
g (float[{batch}, {length}, 6] x) => (float[] y) {{
    w = Shape (x)
    y = {node}
}}
"""


@pytest.mark.parametrize("size", [3, 5])
def test_open_dimensions_are_unknown_until_they_are_bound(size: int) -> None:
    """Nothing is guessed: the count is missing, and there once the dimension has an extent."""
    open_model = parse(GRAPH.format(batch="N", length=4, node="Transpose (x)"))
    open_model.graph.node.append(helper.make_node("MatMul", ["x", "y"], ["z"]))
    assert analyze_model(LoadedModel(open_model, "m")).unknown_macs == 1
    model = parse("g (float[N, 4, 6] x, float[6, 2] w) => (float[N, 4, 2] y) {y = MatMul (x, w)}")
    unbound = analyze_model(LoadedModel(model, "m"))
    assert (unbound.macs, unbound.unknown_macs) == (0, 1)
    bound = analyze_model(LoadedModel(model, "m"), dims={"N": size})
    assert (bound.macs, bound.unknown_macs) == (size * 4 * 6 * 2, 0)
    assert ([("--dim N=" in note) for note in unbound.notes], bound.notes) == ([True], [])
    with pytest.raises(UsageError, match="N"):
        analyze_model(LoadedModel(model, "m"), dims={"M": size})


NODES = {
    "Gemm": ("Gemm <transA = 1> (a, b)", {"a": (6, 3), "b": (6, 2)}, 3 * 2 * 6),
    "Einsum": ('Einsum <equation = "ij,kj->ik"> (a, b)', {"a": (3, 6), "b": (2, 6)}, 3 * 2 * 6),
    "ConvTranspose": ("ConvTranspose (a, b)", {"a": (1, 3, 5), "b": (3, 2, 4)}, 15 * 2 * 4),
    "grouped Conv": ("Conv <group = 3> (a, b)", {"a": (1, 3, 5), "b": (6, 1, 2)}, 6 * 4 * 2),
    "LSTM": (
        "LSTM <hidden_size = 2> (a, b, c)",
        {"a": (5, 3, 4), "b": (1, 8, 4), "c": (1, 8, 2)},
        5 * 3 * 8 * (4 + 2),
    ),
    "Relu": ("Relu (a)", {"a": (3, 4)}, 0),
}


@pytest.mark.parametrize("kind", NODES)
def test_operators(kind: str) -> None:
    """Each operator's products, worked out from its definition."""
    node, shapes, macs = NODES[kind]
    inputs = ", ".join(f"float[{','.join(map(str, s))}] {n}" for n, s in shapes.items())
    model = parse(f"g ({inputs}) => (float[] y) {{ y = {node} }}")
    analysis = analyze_model(LoadedModel(model, "m"))
    assert (analysis.macs, analysis.unknown_macs) == (macs, 0)


def test_an_unknown_operator_is_unknown() -> None:
    """Nobody knows what a custom operator multiplies."""
    model = parse("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.graph.node[0].domain = "com.example"
    assert analyze_model(LoadedModel(model, "m")).unknown_macs == 1


@pytest.mark.parametrize("name", ["FLOAT", "FLOAT16", "INT8", "INT64", "BOOL", "INT4", "UINT4"])
def test_sizes_are_those_that_onnx_writes(name: str) -> None:
    """An odd number of elements, so that half bytes are rounded up."""
    kind = TensorProto.DataType.Value(name)
    tensor = helper.make_tensor("t", kind, [5], [1] * 5)
    raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor)).raw_data
    assert tensor_bytes(kind, 5) == len(raw)


def test_shapes_are_inferred_behind_contrib_operators(traced: TracedModels, tmp_path: Path) -> None:
    """What is declared in the optimised file is inferred without the declarations, too."""
    done, target = traced("bert", "torchscript"), tmp_path / "b.onnx"
    inputs = feeds(*FIXTURES["bert"].build(), onnx.load(done.onnx_path).graph)
    ORT_EXTENDED.apply(Conversion(done.onnx_path, target, inputs))
    declared = analyze(target)
    model = onnx.load(target)
    assert any(node.domain for node in model.graph.node)
    del model.graph.value_info[:]
    bare = analyze_model(LoadedModel(model, "m"))
    assert (bare.macs, bare.unknown_macs) == (declared.macs, 0)
    assert bare.activation_bytes == declared.activation_bytes
