"""Running one file of a comparison: its inputs, its values, and how many at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.rewriter import annotate
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.comparison import file_runner
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.file_runner import FileRunner, memory_chunks
from modelexport.rewriter.comparison.quantisation.module_groups import settled_values
from modelexport.rewriter.comparison.thresholds import MEMORY_BUDGET, MOST_VALUES_AT_ONCE
from tests.helpers.handmade import parse, record_of

QUANTISED = """
g (float[4] x) => (float[4] y)
<float scale = {0.5}, uint8 zero = {3}>
{
    q = QuantizeLinear (x, scale, zero)
    y = DequantizeLinear (q, scale, zero)
}
"""

CLIPPED = """
g (float[4, 4] x) => (float[4, 4] y)
<float scale = {0.25}, uint8 zero = {0}, int8 centre = {0},
 int8[4, 4] w = {-3, 1, 2, 0, 1, 5, -2, 1, 4, -1, 1, 2, 0, 3, -5, 1}>
{
    v = DequantizeLinear (w, scale, centre)
    a = MatMul (x, v)
    q = QuantizeLinear (a, scale, zero)
    d = DequantizeLinear (q, scale, zero)
    y = Neg (d)
}
"""
"""The quantiser does what a Relu did: its smallest number is zero."""
TWICE = CLIPPED.replace(
    "y = Neg (d)",
    """
    r = QuantizeLinear (a, scale, zero)
    e = DequantizeLinear (r, scale, zero)
    f = Identity (d)
    h = Sub (e, f)
    n = Neg (d)
    y = Sub (n, h)
""",
)
"""Each reader has a quantiser of its own."""
COPIED = CLIPPED.replace(
    "y = Neg (d)",
    """
    e = DequantizeLinear (q, scale, zero)
    f = Sub (e, d)
    n = Neg (d)
    y = Sub (n, f)
""",
)
"""Each reader has a copy of what gives the real numbers back."""
INTEGERS = (
    CLIPPED.replace(
        "d = DequantizeLinear (q, scale, zero)",
        """
    r = MaxPool <kernel_shape = [1]> (p)
    d = DequantizeLinear (s, scale, zero)
""",
    )
    .replace(
        "q = QuantizeLinear (a, scale, zero)",
        """
    q = QuantizeLinear (a, scale, zero)
    axes = Constant <value_ints = [0]> ()
    p = Unsqueeze (q, axes)
""",
    )
    .replace(
        "d = DequantizeLinear (s,",
        """
    s = Squeeze (r, axes)
    d = DequantizeLinear (s,""",
    )
)
"""An operator reads the integers."""


@contextmanager
def opened(folder: Path, text: str = QUANTISED) -> Iterator[ComparedFile]:
    model = parse(text)
    onnx.save(model, folder / "plain.onnx")
    record = record_of(model, {"": "Net"}, [""] * len(model.graph.node))
    annotate(folder / "plain.onnx", record, folder / "a.onnx")
    with ModelFile.open(folder / "a.onnx") as file:
        assert file.carried is not None
        yield ComparedFile(file, 0, file.carried)


def test_quantised_values_are_given_as_real_numbers(tmp_path: Path) -> None:
    """A value of integers is what its scale and zero point make of it."""
    with opened(tmp_path) as file:
        runner = FileRunner(file, ["q", "y"])
        feeds = runner.find_feeds([("x", np.array([1, 2, 3, 4.5], np.float32))])
        values = runner.values(["q", "y"], feeds)
        summaries = runner.summaries(["q", "y"], feeds)
    assert values["q"].tolist() == values["y"].tolist() == [1, 2, 3, 4.5]
    assert {name: summary.is_real for name, summary in summaries.items()} == {"q": True, "y": True}


@pytest.mark.parametrize(
    "text",
    [CLIPPED, TWICE, COPIED, INTEGERS],
    ids=["one", "one for each reader", "copies", "integers"],
)
def test_a_value_is_what_its_quantiser_makes_of_it(tmp_path: Path, text: str) -> None:
    """Also where only the value itself was asked for."""
    with opened(tmp_path, text) as file:
        runner = FileRunner(file, ["a"], settled=settled_values(file))
        feeds = runner.find_feeds([("x", np.eye(4, dtype=np.float32))])
        values = runner.values(["a"], feeds) | FileRunner(file, ["y"]).values(["y"], feeds)
        raw = runner.stored_values(["a"], feeds)["a"]
    assert values["a"].tolist() == (-values["y"]).tolist() == np.maximum(raw, 0).tolist()
    assert raw.min() < 0


def test_inputs_that_do_not_fit_name_the_file(tmp_path: Path) -> None:
    """One sentence, with what is missing."""
    with opened(tmp_path) as file, pytest.raises(UsageError, match=r"a\.onnx"):
        FileRunner(file, []).find_feeds([("other", np.zeros((2, 2, 2), np.int64))])


def test_values_are_summarised_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little fits into memory: a value at a time is always taken."""
    monkeypatch.setattr(file_runner, "MEMORY_BUDGET", 1)
    with opened(tmp_path) as file:
        runner = FileRunner(file, ["q", "y"])
        feeds = runner.find_feeds([("x", np.zeros(4, np.float32))])
        assert runner.summaries(["q", "y"], feeds).keys() == {"q", "y"}


def test_parts_fit_into_memory() -> None:
    """Consecutive values, none left out; a value above the budget stands alone."""
    half = MEMORY_BUDGET // 2
    sizes = [half, half, 1, MEMORY_BUDGET + 1, 1, 1]
    assert list(memory_chunks(sizes)) == [range(2), range(2, 3), range(3, 4), range(4, 6)]
    assert list(memory_chunks([])) == []
    counts = [len(chunk) for chunk in memory_chunks([0] * (2 * MOST_VALUES_AT_ONCE + 1))]
    assert counts == [MOST_VALUES_AT_ONCE, MOST_VALUES_AT_ONCE, 1]
