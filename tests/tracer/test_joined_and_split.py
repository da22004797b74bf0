"""A split that gives back what was joined belongs where it is split, not where it was computed."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS

WIDTH = 8


class Halves(nn.Module):
    """Joins two copies of its input, and splits them again."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = torch.chunk(torch.cat([x, x], dim=-1), 2, dim=-1)
        return self.norm(first) + second


class Reversible(nn.Module):
    """What is joined is computed in another module."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(WIDTH, WIDTH)
        self.halves = Halves()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.halves(self.embedding(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_split_of_joined_values_is_where_it_is_split(exporter: str, tmp_path: Path) -> None:
    """Both the node that joins and those that split are in the module that does so."""
    torch.manual_seed(5)
    traced = trace(Reversible(), torch.randn(3, WIDTH), tmp_path / "m.onnx", exporter=exporter)
    nodes = onnx.load(traced.onnx_path).graph.node
    joined = next(node.output[0] for node in nodes if node.op_type == "Concat")
    places = {op.name: op.module for op in traced.record.ops}
    splitting = [node.name for node in nodes if joined in node.input]
    assert splitting
    assert {places[name] for name in splitting} == {"halves"}
