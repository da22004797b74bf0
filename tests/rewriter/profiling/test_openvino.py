"""Runs in openvino itself."""

from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.profile_options import ProfileFiles
from modelexport.rewriter import annotate, profile
from tests.helpers.commands import Run
from tests.helpers.handmade import layers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an annotated file of four layers, and one whose modules are functions."""
    folder = tmp_path_factory.mktemp("openvino")
    model, record = layers("Relu", "Tanh", "Sigmoid", "Relu")
    onnx.save(model, folder / "net.onnx")
    annotate(folder / "net.onnx", record, folder / "a.onnx")
    inject = [Inject.METADATA, Inject.FUNCTIONS]
    annotate(folder / "net.onnx", record, folder / "f.onnx", inject=inject)
    assert onnx.load(folder / "f.onnx").functions
    return folder


@pytest.mark.parametrize("name", ["a.onnx", "f.onnx"])
def test_layers_of_openvino_are_charged_to_modules(folder: Path, name: str) -> None:
    """Nearly all time is in modules below the root; functions are inlined first."""
    result = profile(folder / name, runtime="openvino", runs=3, warmup=1, threads=1)
    assert result.runtime.startswith("openvino ")
    assert (result.runs, result.unit, result.level) == (3, "us", None)
    assert result.nodes
    assert result.no_module == 0
    assert sum(node.time for node in result.nodes) == pytest.approx(result.node_time)
    charged = {node.module for node in result.nodes if node.nodes}
    assert {"layer.0", "layer.1", "layer.2", "layer.3"} <= {
        ".".join((module or "").split(".")[:2]) for module in charged
    }


def test_the_command_runs_there(folder: Path, run: Run) -> None:
    """The table names the runtime; a file for another tool is written."""
    ran = run(
        "profile", folder / "a.onnx", "--runtime", "openvino", "--runs", "2", "--threads", "1",
        "--trace", folder / "trace.json",
    )  # fmt: skip
    assert ran.code == 0
    assert "openvino 20" in ran.out
    assert (folder / "trace.json").is_file()


def test_what_openvino_does_not_write_is_refused(folder: Path) -> None:
    """It has no optimised ONNX file."""
    files = ProfileFiles(save_optimised=folder / "o.onnx")
    with pytest.raises(UsageError, match="nothing else writes an optimised file"):
        profile(folder / "a.onnx", runtime="openvino", runs=1, files=files)
