"""Operators of the root that only pass values on are the root's, whichever exporter wrote them."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from modelexport.rewriter import annotate
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.selection import EXPORTERS

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # torch's own

BATCH, LENGTH, WIDTH = 4, 5, 8


class Block(nn.Module):
    """Computes; its input has some width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.fc(x))


PASSING = {
    "permute": (lambda x: x.permute(1, 0, 2), WIDTH),
    "chunk": (lambda x: x.chunk(2, -1)[0], WIDTH // 2),
    "join": (lambda x: torch.cat(x.chunk(2, -1)[::-1], -1), WIDTH),
    "split": (lambda x: x.split([2, WIDTH - 2], -1)[1], WIDTH - 2),
    "slice": (lambda x: x[:, 1:], WIDTH),
    "gather": (lambda x: x[:, [2, 0]], WIDTH),
    "permuting gather": (lambda x: x[:, [1, 0]], WIDTH),
    "cast": (lambda x: x.double().float(), WIDTH),
    "expand": (lambda x: x.unsqueeze(1).expand(-1, 3, -1, -1), WIDTH),
    "select": (lambda x: x[:, 0], WIDTH),
    "flip": (lambda x: x.flip(1), WIDTH),
    "flatten": (lambda x: x.flatten(1), 2 * WIDTH),
}
"""What the root does before each block, and the width that the block gets."""


class Net(nn.Module):
    """Passes on to each block what the one before it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Block(WIDTH)
        self.blocks = nn.ModuleDict({name: Block(width) for name, (_, width) in PASSING.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for name, block in self.blocks.items():
            x = block(PASSING[name][0](x))
        return x


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, TraceResult]:
    """The files of both exporters."""
    torch.manual_seed(0)
    model, x = Net().eval(), torch.randn(BATCH, LENGTH, WIDTH)
    folder = tmp_path_factory.mktemp("passing")
    return {name: trace(model, x, folder / f"{name}.onnx", exporter=name) for name in EXPORTERS}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_each_node_has_its_module_by_the_other_exporters_record(
    exported: Mapping[str, TraceResult], exporter: str, tmp_path: Path
) -> None:
    """As its own record has it: values that are passed on do not tell, but their places do."""
    (other,) = exported.keys() - {exporter}
    own = exported[exporter]
    report = annotate(own.onnx_path, exported[other].record_path, tmp_path / "out.onnx")
    true = {(op.graph, op.index): op.module for op in own.record.ops if op.module is not None}
    shown = {(d.graph, d.position): d.module for d in report.decisions}
    assert "" in true.values()
    assert {key: shown[key] for key in true} == true
