"""Matching files whose values are stored in 8 bits, and modules that are called again and again."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import parser
from torch import nn

from agreement.carrying import by_names
from agreement.judging import Verdict, judge
from agreement.lossy import PREPARED, QOPERATOR
from agreement.scrambling import scramble
from agreement.steps import Conversion
from fixtures_gen.eager import run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import derive_truth, feeds, truth
from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.rewriter import MatchOptions, annotate
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.quantised_values import QuantisedValues
from modelexport.tracer import trace
from tests.helpers.traced import TracedModels

ENOUGH = 0.99
CHAIN = """
<ir_version: 8, opset_import: ["" : 17]>
chain (float[4, 64] x) => (float[4, 64] d) {
  a = Relu (x)
  b = Tanh (a)
  c = Sin (b)
  d = Exp (c)
}
"""


@pytest.mark.parametrize("name", ["resnet", "bert", "llama"])
def test_a_file_of_quantised_operators(traced: TracedModels, name: str, tmp_path: Path) -> None:
    """Hardly a real number is to be seen in it; what is stored in 8 bits tells all the same."""
    done = traced(name, "dynamo")
    model, inputs = FIXTURES[name].build()
    given_ = feeds(model, inputs, onnx.load(done.onnx_path).graph)
    prepared, quantised, scrambled = (tmp_path / f"{n}.onnx" for n in "pqs")
    PREPARED.apply(Conversion(done.onnx_path, prepared, given_))
    QOPERATOR.apply(Conversion(prepared, quantised, given_))
    onnx.save(scramble(onnx.load(quantised)), scrambled)
    true = derive_truth(observe(prepared, given_), run_eagerly(model, inputs))
    known = by_names(onnx.load(prepared), true, onnx.load(quantised))
    report = annotate(scrambled, done.record, None)
    actual = [
        judge(known.modules[d.key], d.module, d.covers, done.record.tree)
        for d in report.decisions
        if d.key in known.modules
    ]
    assert len(actual) > len(true.modules) // 2
    assert Verdict.WRONG not in actual
    good = sum(verdict in {Verdict.EXACT, Verdict.IN_COVERS} for verdict in actual)
    assert good >= ENOUGH * len(actual)


@given(
    scale=st.floats(0.01, 10),
    zero=st.integers(0, 255),
    seed=st.integers(0, 2**16),
    chosen=st.integers(0, 3),
)
def test_a_value_in_8_bits_is_near_to_what_it_stands_for(
    scale: float, zero: int, seed: int, chosen: int
) -> None:
    """Whatever its scale and its zero point, and to nothing else."""
    graph = ModelGraph(parser.parse_model(CHAIN)).indexed
    generator = np.random.default_rng(seed)
    values = [generator.standard_normal((4, 64)).astype(np.float32) * scale for _ in graph.op_types]
    made = [next(iter(graph.output_values(node))) for node in range(len(graph))]
    step = np.abs(values[chosen]).max() / 127
    stored = np.clip(np.round(values[chosen] / step) + zero, 0, 255).astype(np.uint8)
    saturated = float(np.mean((stored == 0) | (stored == 255)))
    recorded = {value: value_fingerprint(array) for value, array in zip(made, values, strict=True)}
    near = QuantisedValues.of(graph, graph, {made[chosen]: value_fingerprint(stored)}, recorded)
    if saturated < 0.01:
        assert set(near.candidate_ops(chosen)) == {chosen}
    assert set(near.candidate_ops(chosen)) <= {chosen}


class Again(nn.Module):
    """One step that is taken again and again, and something different each time."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.step(x).tanh()
        y = self.step(y).sin() + x
        return self.step(self.step(y).cos() * y)  # type: ignore[no-any-return]


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_calls_are_told_apart_by_their_order(exporter: str, tmp_path: Path) -> None:
    """Neither names nor values are there, and each weight is read by every call."""
    model, inputs = Again().eval(), (torch.randn(4, 16),)
    done = trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    onnx.save(scramble(onnx.load(done.onnx_path)), tmp_path / "s.onnx")
    report = annotate(tmp_path / "s.onnx", done.record, None, matching=MatchOptions(run=False))
    recorded = {NodeKey(op.graph, op.index): op for op in done.record.ops}
    true = truth(model, inputs, done.onnx_path)
    decided = {d.key: d for d in report.decisions if d.evidence is EvidenceKind.WEIGHTS}
    assert {recorded[key].call for key in decided} == set(range(4))
    assert {key: d.call for key, d in decided.items()} == {k: recorded[k].call for k in decided}
    wrong = {
        d.key: (d.module, true.modules[d.key])
        for d in report.decisions
        if d.key in true.modules and d.module not in true.modules[d.key]
    }
    assert wrong == {}
