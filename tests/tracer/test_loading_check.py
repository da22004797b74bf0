"""Whether onnxruntime can load what an exporter made is asked with all of its weights."""

from pathlib import Path

import torch
from torch import nn

from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS


class Backwards(nn.Module):
    """Calls its modules in another order than it holds them, and returns a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(48, 48) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        for part in reversed(self.parts):
            x = part(x)
        return x, self.parts[1].weight


def test_weights_in_any_order_can_be_loaded(tmp_path: Path) -> None:
    """`auto` keeps what its first exporter makes."""
    result = trace(Backwards().eval(), torch.randn(2, 48), tmp_path / "m.onnx")
    assert result.record.source.exporter == next(iter(EXPORTERS))
    assert not any("load" in note for note in result.notes)
