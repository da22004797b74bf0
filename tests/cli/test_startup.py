"""The command starts at once: what is heavy is imported by the command that needs it.

How long that takes is measured by `benchmarks/startup.py`.
"""

from pathlib import Path

import onnx
import pytest

from modelexport.rewriter import annotate
from tests.helpers.commands import packages_loaded_by, run_python
from tests.helpers.handmade import two_layers, two_layers_record

HEAVY = {"torch", "transformers", "onnxruntime", "onnxscript", "safetensors"}
HEAVY |= {"jsonschema", "yaml", "pydantic"}
ONNX = {"onnx", "numpy", "google"}


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small annotated file."""
    folder = tmp_path_factory.mktemp("startup")
    onnx.save(two_layers(), folder / "plain.onnx")
    annotate(folder / "plain.onnx", two_layers_record(), folder / "a.onnx")
    return folder / "a.onnx"


def imported(folder: Path, *arguments: str | Path) -> set[str]:
    """Top-level packages in memory after a command that succeeds."""
    result, packages = packages_loaded_by(*arguments, cwd=folder)
    assert result.code == 0, result.err
    return packages


@pytest.mark.parametrize("arguments", ["--help", "--version", "trace --help", "annotate --help"])
def test_help_needs_nothing(tmp_path: Path, arguments: str) -> None:
    """Neither torch nor onnx, nor numpy."""
    assert not imported(tmp_path, *arguments.split()) & (HEAVY | ONNX)


def test_doctor_imports_nothing_of_what_it_tells_about(tmp_path: Path) -> None:
    """Versions are read from what is installed."""
    assert not imported(tmp_path, "doctor") & (HEAVY | ONNX)


@pytest.mark.parametrize("arguments", [["analyze"], ["strip", "-o", "plain.onnx"]])
def test_reading_a_file_needs_onnx_only(
    annotated: Path, tmp_path: Path, arguments: list[str]
) -> None:
    """No torch, no onnxruntime."""
    packages = imported(tmp_path, *arguments, annotated)
    assert "onnx" in packages
    assert not packages & HEAVY


def test_annotating_the_traced_file_runs_nothing(annotated: Path, tmp_path: Path) -> None:
    """A file that the record recognises needs no onnxruntime either."""
    assert not imported(tmp_path, "annotate", annotated, "-o", "again.onnx") & HEAVY


def test_wrong_use_is_told_without_torch(tmp_path: Path) -> None:
    """What can be refused without loading torch for it is refused at once."""
    (tmp_path / "exists.onnx").write_text("not ours")
    result, packages = packages_loaded_by("trace", "x:y", "exists.onnx", cwd=tmp_path)
    assert result.code == 2
    assert "exists.onnx" in result.err
    assert not packages & HEAVY


NET = """
import torch


def build():
    return torch.nn.Linear(2, 2).eval(), (torch.ones(1, 2),)
"""
TRACE = """
import sys
from modelexport.cli.main import main
try:
    main(["trace", "net.py:build", "net.onnx", "--exporter", "torchscript"])
finally:
    loaded = {"onnxscript", "onnx_ir", "torch._dynamo", "transformers"} & {*sys.modules}
    print(*loaded, file=sys.stderr)
"""


def test_torchscript_needs_nothing_of_the_other_exporter(tmp_path: Path) -> None:
    """Neither onnxscript nor torch.compile is loaded, which takes longer than the trace."""
    (tmp_path / "net.py").write_text(NET)
    done = run_python("-c", TRACE, cwd=tmp_path)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert (tmp_path / "net.onnx").is_file()
