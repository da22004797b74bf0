"""Modules without nodes and with many readers: what users are told about them."""

from pathlib import Path

import onnx
import pytest

from modelexport.rewriter import annotate, extract, split
from tests.helpers.commands import Run
from tests.helpers.handmade import parse, record_of


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A value that three modules read, and a module without nodes."""
    text = "g (float[4] x) => (float[4] y) { [n0] a = Abs (x) [n1] b = Exp (a) [n2] c = Sin (a) "
    model = parse(text + "[n3] d = Cos (a) [n4] y = Sum (b, c, d) }")
    onnx.save(model, tmp_path / "plain.onnx")
    modules = {"": "Net", "stem": "Stem", "drop": "Dropout"}
    modules |= {f"head.{number}": "Head" for number in range(3)}
    record = record_of(model, modules, ["stem", "head.0", "head.1", "head.2", ""])
    annotate(tmp_path / "plain.onnx", record, tmp_path / "fork.onnx")
    return tmp_path / "fork.onnx"


def test_a_module_without_nodes_is_a_note(fork: Path, tmp_path: Path) -> None:
    """Beside modules that have some."""
    note = "drop has no nodes in this file."
    part = extract(fork, ["stem", "drop"], tmp_path / "p.onnx", check=True)
    assert (part.nodes, part.equal, part.notes) == (1, True, [note])
    result = split(fork, tmp_path / "s", [["stem", "drop"], ["head.0-2"]], check=True)
    assert (result.equal, result.notes) == (True, [note])


def test_the_table_counts_the_readers_that_it_leaves_out(
    run: Run, fork: Path, tmp_path: Path
) -> None:
    """Readers of inputs are inside, those of outputs outside."""
    ran = run("extract", fork, "stem", "-o", tmp_path / "p.onnx")
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "in x float 4 input /Net/stem" in lines
    assert "out a float 4 /Net/stem Abs /Net/head.0, /Net/head.1 and 1 more" in lines
