"""A fault in a forward: whatever the model is run for, the error names the module."""

from pathlib import Path

import pytest
import torch
from torch import nn

from modelexport.tracer import trace
from tests.helpers.commands import Run


class Fault(nn.Module):
    """Multiplies by a matrix of a size that does not fit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ torch.ones(3, 3)


class Block(nn.Module):
    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.fc, self.last = nn.Linear(4, 4), last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.fc(x))


def net(last: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 4), Block(last))


def build_faulty() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return net(Fault()), (torch.randn(2, 4),)


SOURCE = f"{__name__}:{build_faulty.__name__}"
WAYS = {
    "auto": ("trace", SOURCE, "net.onnx"),
    "torchscript": ("trace", SOURCE, "net.onnx", "--exporter", "torchscript"),
    "dynamo": ("trace", SOURCE, "net.onnx", "--exporter", "dynamo"),
    "export": ("export", SOURCE, "net.onnx"),
    "record": ("trace", SOURCE, "--record-only", "net.json"),
    "eager": ("trace", SOURCE, "--record-only", "net.json", "--exporter", "eager"),
    "no weights": ("trace", SOURCE, "net.onnx", "--no-weights"),
    "compare": ("compare", SOURCE, "good.onnx", "--numeric"),
}


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model without the fault."""
    path = tmp_path_factory.mktemp("good") / "good.onnx"
    trace(net(nn.Identity()), torch.randn(2, 4), path, exporter="torchscript")
    return path


@pytest.mark.parametrize("line", WAYS.values(), ids=WAYS.keys())
def test_the_error_names_the_module(
    run: Run, working_folder: Path, good_file: Path, line: tuple[str, ...]
) -> None:
    """One line, with the path of the innermost module; nothing is written."""
    (path,) = (n for n, module in build_faulty()[0].named_modules() if isinstance(module, Fault))
    record = good_file.with_suffix(".trace.json")
    more = ("--record", record) if line[0] == "compare" else ()
    ran = run(*(good_file if part == good_file.name else part for part in line), *more)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"in module {path}: RuntimeError: " in ran.err
    assert list(working_folder.iterdir()) == []
