"""Files of half precision: parts and the whole round the same values, so both are equal."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.rewriter import annotate, extract, split
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import session_source
from modelexport.rewriter.extraction.part_check import PartCheck, RunnablePart
from modelexport.rewriter.extraction.value_types import value_types
from tests.helpers.handmade import parse, record_of
from tests.helpers.traced import open_session

ROUNDED = ["a", "b", "c"]
"""What the first, second and third of the four modules compute."""


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Four modules that all compute in float16; a CPU has no float16 kernel for any of them."""
    text = "g (float16[512] x) => (float16[512] y) { [n0] a = Exp (x) [n1] b = Sin (a) "
    model = parse(text + "[n2] c = Exp (b) [n3] y = Sin (c) }")
    onnx.save(model, tmp_path / "plain.onnx")
    modules = {"": "Net", **{f"layer.{number}": "Layer" for number in range(4)}}
    record = record_of(model, modules, [path for path in modules if path])
    annotate(tmp_path / "plain.onnx", record, tmp_path / "halves.onnx")
    return tmp_path / "halves.onnx"


def _in_parts(folder: Path, files: list[str], values: dict[str, np.ndarray]) -> np.ndarray:
    """What the files compute one after the other, in onnxruntime itself."""
    assert files
    for name in files:
        session = open_session(folder / name)
        fed = {value.name: values[value.name] for value in session.get_inputs()}
        names = [value.name for value in session.get_outputs()]
        values = values | dict(zip(names, session.run(names, fed), strict=True))
    return values["y"]


def test_parts_of_half_precision_equal_the_whole(halves: Path, tmp_path: Path) -> None:
    """And the difference to the whole in one piece is told, as onnxruntime itself shows it."""
    saved = tmp_path / "in.npz"
    for number in range(4):
        assert extract(
            halves, f"layer.{number}", tmp_path / f"{number}.onnx", check=True, save_inputs=saved
        ).equal
        saved.unlink()
    result = split(halves, tmp_path / "parts", 4, check=True)
    assert result.equal
    assert [name for part in result.parts for name in part.outputs] == [*ROUNDED, "y"]
    extract(halves, "layer.0-3", tmp_path / "all.onnx", save_inputs=saved)
    feeds = dict(np.load(saved))
    (whole,) = open_session(halves).run(["y"], feeds)
    parts = _in_parts(tmp_path / "parts", [part.file for part in result.parts], feeds)
    distance = np.abs(whole.astype(np.float64) - parts.astype(np.float64)).max()
    assert distance > 0
    assert [f"its 'y' differs by up to {distance:.2g}." in note for note in result.notes] == [True]


def test_full_precision_has_no_note(annotated: Path, tmp_path: Path) -> None:
    """Nothing is rounded between float32 nodes."""
    assert split(annotated, tmp_path / "parts", 2, check=True).notes == []


def test_a_part_that_computes_something_else_is_found(halves: Path) -> None:
    """Rounding hides no difference: another operator in the part gives other values."""
    with PlacedFile.open(halves) as file:
        types = value_types(file, ["a", "b"])
        check = PartCheck(file, ["a", "b"], types)
        model = onnx.ModelProto()
        model.CopyFrom(file.model)
        del model.graph.node[2:], model.graph.node[0], model.graph.input[:]
        model.graph.input.append(types["a"])

        def different() -> list[str]:
            part = RunnablePart(halves, model, lambda m: session_source(file.container, m))
            return check.different(part, ["a"], ["b"])

        assert different() == []
        model.graph.node[0].op_type = "Cos"
        assert different() == ["b"]
