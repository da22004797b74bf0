"""NaN, infinities, empty tensors, strings, sequences and optionals are no reason to fail."""

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from agreement.scrambling import scramble
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import AnnotateReport, MatchOptions, annotate
from modelexport.rewriter.annotation.inherited_record import inherited_record
from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.commands import Run
from tests.helpers.handmade import parse, record_of

_OPSET = 20
"""The first that concatenates strings."""

_TELLING = 12
"""So many order statistics tell a value."""

ODD = """
odd (float[3, 40] x, float[0, 4] nothing, string[3] words)
    => (float[3, 40] y, float[0, 4] z, string[3] w, float[3, 40] last) {
   bad = Log (x)
   worse = Neg (x)
   worst = Log (worse)
   most = Constant <value = float {1e38}> ()
   huge = Mul (x, most)
   beyond = Mul (huge, huge)
   shifted = Add (x, part.shift)
   less = Relu (nothing)
   several = SequenceConstruct (beyond, shifted)
   one = Constant <value = int64 {1}> ()
   second = SequenceAt (several, one)
   perhaps = Optional (second)
   surely = OptionalGetElement (perhaps)
   y = Add (surely, worst)
   z = Neg (less)
   twice = StringConcat (words, words)
   w = StringConcat (twice, words)
   tamed = Tanh (x)
   last = Sub (tamed, bad)
}
"""

UNFED = """
odd (seq(float[3, 40]) several, optional(float[3, 40]) perhaps, string[2] words, float[3, 40] x)
    => (float[3, 40] y, seq(float[3, 40]) s, bool there, string[2] w) {
   first = Constant <value = int64 {0}> ()
   a = SequenceAt (several, first)
   there = OptionalHasElement (perhaps)
   b = Mul (a, part.shift)
   y = Add (b, x)
   s = SequenceInsert (several, b)
   w = StringConcat (words, words)
}
"""


class Odd:
    """A file of odd values, annotated, and the same with all its names changed."""

    def __init__(self, text: str, folder: Path) -> None:
        model = parse(text, {"part.shift": (3, 40)})
        model.ir_version, model.opset_import[0].version = 9, _OPSET
        self.modules = [("part", "", "other")[n % 3] for n in range(len(model.graph.node))]
        record = record_of(model, {"": "Net", "part": "Part", "other": "Part"}, self.modules)
        self.annotated, self.changed = folder / "a.onnx", folder / "b.onnx"
        self.plain, self.record = folder / "m.onnx", record
        onnx.save(model, self.plain)
        annotate(self.plain, record, self.annotated)
        onnx.save(scramble(model), self.changed)


def check(report: AnnotateReport, true: list[str]) -> None:
    """Nothing is wrong, and what is open says why."""
    assert true
    for decision, module in zip(report.decisions, true, strict=True):
        assert decision.module == module if decision.module is not None else decision.reason


def test_odd_values_are_compared_like_others(tmp_path: Path) -> None:
    """A file that computes them runs, and whatever holds enough numbers is recognised."""
    odd = Odd(ODD, tmp_path)
    known = inherited_record(odd.annotated, TagRules(), MatchOptions())
    assert known.probe.missing is None
    values = [value for op in known.ops for value in op.values if value is not None]
    assert any(value.nan for value in values)
    assert any(value.positive_infinite for value in values)
    assert any(value.size == 0 for value in values)
    assert any(given.dtype == "object" for given in known.probe.inputs)
    report = annotate(odd.changed, None, tmp_path / "c.onnx", inherit_from=odd.annotated)
    check(report, odd.modules)
    assert not any("not compared" in note for note in report.notes)
    told = [
        any(v is not None and v.statistics().size >= _TELLING for v in op.values)
        for op in known.ops
    ]
    assert any(told)
    decided = zip(report.decisions, odd.modules, told, strict=True)
    assert [
        (d.module, module) for d, module, enough in decided if enough and d.module != module
    ] == []


@pytest.mark.parametrize("text", [ODD, UNFED])
def test_the_command_says_what_it_could_not_look_at(text: str, tmp_path: Path, run: Run) -> None:
    """Inputs that nobody can make up are a note; weights and structure do the rest."""
    odd = Odd(text, tmp_path)
    out, report = tmp_path / "c.onnx", tmp_path / "r.json"
    asked = [odd.changed, "--from", odd.annotated, "-o", out, "--report", report]
    result = run("annotate", *asked)
    assert result.code == 0
    said = msgspec.json.decode(report.read_bytes(), type=AnnotateReport)
    check(said, odd.modules)
    assert any("not compared" in note for note in said.notes) == (text == UNFED)
    assert ("not compared" in result.out) == (text == UNFED)


def test_strings_of_ones_own_are_fed(tmp_path: Path) -> None:
    """An .npz holds them as numpy keeps text; the reference and the file both take them."""
    odd = Odd(ODD, tmp_path)
    known = inherited_record(odd.annotated, TagRules(), MatchOptions()).probe
    own = {given.name: given.to_array() for given in known.inputs}
    own["words"] = np.array(["one", "two", "three"])
    np.savez(tmp_path / "own.npz", **own)
    record = msgspec.structs.replace(odd.record, probe=known)
    matching = MatchOptions(reference=odd.plain, probe=tmp_path / "own.npz")
    report = annotate(odd.changed, record, tmp_path / "c.onnx", matching=matching)
    check(report, odd.modules)
    assert not any("not compared" in note for note in report.notes)
    assert report.evidence[EvidenceKind.VALUES]


class Spoilt(nn.Module):
    """Computes what is no number, what is none at all, and goes on with the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(24, 24), nn.Linear(24, 24)
        self.act = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All of it reaches the output."""
        a = self.first(x)
        roots = torch.log(a)
        infinite = torch.exp(a * 1e3)
        nothing = self.act(a[:, :0])
        joined = torch.cat([nothing, self.second(a)], 1)
        actual: torch.Tensor = joined + self.act(roots) + infinite
        return actual


@pytest.mark.parametrize("exporter", sorted(EXPORTERS))
def test_a_traced_model_that_computes_no_numbers(exporter: str, tmp_path: Path) -> None:
    """Its record tells the nodes of the renamed file, whatever they hold."""
    torch.manual_seed(1)
    model, file = Spoilt().eval(), tmp_path / "m.onnx"
    done = trace(model, (torch.randn(4, 24),), file, exporter=exporter)
    values = [value for op in done.record.ops for value in op.values if value is not None]
    assert any(value.nan for value in values)
    assert any(value.positive_infinite for value in values)
    onnx.save(scramble(onnx.load(file)), tmp_path / "b.onnx")
    report = annotate(tmp_path / "b.onnx", done.record, tmp_path / "c.onnx")
    assert not any("not compared" in note for note in report.notes)
    assert [d.module for d in report.decisions] == [op.module for op in done.record.ops]


@given(st.lists(st.text(), max_size=6))
def test_recorded_strings_are_read_back(words: list[str]) -> None:
    """An input of strings is kept as what it says, not as where it lay in memory."""
    array = np.array(words, object).reshape(1, -1)
    kept = msgspec.json.decode(
        msgspec.json.encode(ProbeInput.from_array("words", array)), type=ProbeInput
    ).to_array()
    assert kept.shape == array.shape
    assert kept.tolist() == array.tolist()
