"""What belongs to which module in a quantised file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from modelexport.rewriter import annotate
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.quantisation.module_groups import Group, ModuleGroups
from tests.helpers.handmade import parse, record_of

QDQ = """
g (float[4] x) => (float[4] y)
<float scale = {0.5}, uint8 zero = {0}>
{
    f = Floor (x)
    qf = QuantizeLinear (f, scale, zero)
    df = DequantizeLinear (qf, scale, zero)
    a = Neg (df)
    q = QuantizeLinear (a, scale, zero)
    d = DequantizeLinear (q, scale, zero)
    b = Neg (d)
    e = Cast <to = 1> (b)
    c = Abs (b)
    y = Add (c, e)
}
"""
SCOPES = [*["zero"] * 3, *["one"] * 3, "two", "two", "three", "three"]


@contextmanager
def grouped(folder: Path) -> Iterator[ModuleGroups]:
    model = parse(QDQ)
    onnx.save(model, folder / "plain.onnx")
    record = record_of(
        model, {"": "Net", "zero": "Z", "one": "A", "two": "B", "three": "C"}, SCOPES
    )
    annotate(folder / "plain.onnx", record, folder / "a.onnx")
    with ModelFile.open(folder / "a.onnx") as file:
        assert file.carried is not None
        compared = ComparedFile(file, 1, file.carried)
        yield ModuleGroups(compared, lambda claim: Group(claim.module))


def test_operators_that_recast_belong_to_their_readers(tmp_path: Path) -> None:
    """A module reads the value before it was quantised or cast."""
    with grouped(tmp_path) as groups:
        reads = groups.read_values()
        recast = [group for group in groups.of if group is None]
    assert reads == {Group("one"): ["f"], Group("two"): ["a"], Group("three"): ["b"]}
    assert len(recast) == 5


def test_a_value_that_only_a_quantiser_reads_is_what_that_makes_of_it(tmp_path: Path) -> None:
    """If a quantised node computes it; what others compute, or also read, stays as it is."""
    with grouped(tmp_path) as groups:
        assert groups.settled == {"a": "d"}
