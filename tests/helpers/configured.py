"""Models and a configuration for tests of configured traces."""

import torch
from torch import nn

WIDTH = 6


class Pair(nn.Module):
    """Two inputs whose first two axes agree, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(WIDTH, WIDTH)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scaled = self.scale(x)
        if mask is not None:
            scaled = scaled * mask.unsqueeze(-1)
        return scaled, scaled.mean(1)


class Fixed(nn.Module):
    """Something that works for one length only."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(4, WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.place


def pair() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    return Pair().eval(), (torch.randn(2, 3, WIDTH), torch.ones(2, 3))


def fixed() -> tuple[nn.Module, tuple[torch.Tensor]]:
    return Fixed().eval(), (torch.randn(2, 4, WIDTH),)


PAIR, FIXED = f"{__name__}:pair", f"{__name__}:fixed"
"""The two factories as sources of the command line."""

CONFIG = {
    "exporter": "torchscript",
    "opset": 15,
    "inputs": {
        "x": {"shape": [3, 4, WIDTH], "range": [2, 5]},
        "mask": {"shape": [3, 4], "dtype": "int64", "range": [7, 9]},
    },
    "dynamic_axes": {"x": {"0": "batch", "1": "length"}, "mask": {"0": "batch", "1": "length"}},
    "output_names": ["scaled", "mean"],
}
"""A configuration of `pair`, in which every key says something."""
