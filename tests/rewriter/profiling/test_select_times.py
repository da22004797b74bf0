"""Which modules of a profile are listed."""

from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy.choices import ProfileOrder
from modelexport.rewriter import Profile, analyze, annotate, profile
from modelexport.rewriter.profiling.select_times import select_times
from tests.helpers.handmade import two_layers, two_layers_record


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotated file of two layers."""
    folder = tmp_path_factory.mktemp("times")
    onnx.save(two_layers(), folder / "net.onnx")
    annotate(folder / "net.onnx", two_layers_record(), folder / "net.annotated.onnx")
    return folder / "net.annotated.onnx"


@pytest.fixture(scope="module")
def result(annotated: Path) -> Profile:
    """Its profile."""
    return profile(annotated, level="disable", runs=1, threads=1)


def paths(result: Profile, module: str | None, depth: int | None) -> list[str]:
    """The paths of the modules that are listed."""
    return [
        row.path
        for row in select_times(result, module, depth, ProfileOrder.MODEL, "net.onnx").modules
    ]


def test_modules_are_chosen_by_pattern(result: Profile) -> None:
    """A pattern lists the modules that it matches, and those inside them."""
    assert paths(result, "layer.?", None) == ["layer.0", "layer.0.fc", "layer.1", "layer.1.fc"]
    assert paths(result, "layer.?", 0) == ["layer.0", "layer.1"]


@pytest.mark.parametrize("module", [None, "layer", "layer.1"])
@pytest.mark.parametrize("depth", range(3))
def test_depth_counts_as_in_an_analysis(
    annotated: Path, result: Profile, module: str | None, depth: int
) -> None:
    """What is directly below the named module is a step below it, also numbers below a list."""
    timed = {row.path for row in result.modules}
    analysed = analyze(annotated, module=module, depth=depth).modules
    listed = paths(result, module, depth)
    assert listed
    assert listed == [row.path for row in analysed if row.path in timed]
