"""Models in other types of floating point numbers, and in several."""

import torch
from torch import nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


def stages() -> nn.Sequential:
    """Two modules."""
    return nn.Sequential(Stage(), Stage())


def vectors() -> torch.Tensor:
    """A batch of vectors."""
    return torch.randn(4, WIDTH)


@unexpected()
def float16() -> Built:
    """All in half precision."""
    return stages().half(), (vectors().half(),)


@unexpected()
def bfloat16() -> Built:
    """All in a type that numpy does not have, and for which runtimes lack operators."""
    return stages().bfloat16(), (vectors().bfloat16(),)


@unexpected()
def float64() -> Built:
    """All in double precision."""
    return stages().double(), (vectors().double(),)


class Cast(nn.Module):
    """Changes the type."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


@unexpected()
def mixed() -> Built:
    """One module in half precision, the rest in single."""
    parts = (Stage(), Cast(torch.float16), Stage().half(), Cast(torch.float32), Stage())
    return nn.Sequential(*parts), rows()


class Autocast(nn.Module):
    """One module runs under autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            y = self.inside(x)
        return self.outside(y.float())  # type: ignore[no-any-return]


@unexpected()
def autocast() -> Built:
    """`torch.autocast`."""
    return Autocast(), rows()
