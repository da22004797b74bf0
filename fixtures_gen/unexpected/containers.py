"""Modules and parameters in containers, and trees of unusual shape."""

import torch
from torch import nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


class Lists(nn.Module):
    """Parameters in a list and in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.matrices = nn.ParameterList(torch.randn(WIDTH, WIDTH) for _ in range(3))
        self.scales = nn.ParameterDict({"gain": torch.randn(WIDTH)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for matrix in self.matrices:
            x = torch.tanh(x @ matrix)
        return torch.mul(x, self.scales["gain"])


@unexpected()
def parameter_containers() -> Built:
    """Containers that hold parameters and never run."""
    return Lists(), rows()


class Residual(nn.Sequential):
    """A Sequential with a forward of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for layer in self:
            y = layer(y)
        return torch.relu(y) + x


@unexpected()
def sequential_with_its_own_forward() -> Built:
    """A container that runs operators of its own."""
    boxes = (Residual(nn.Linear(WIDTH, WIDTH), nn.Tanh()), Residual(Stage(), Stage()))
    return nn.Sequential(*boxes), rows()


class Nested(nn.Module):
    """A chain of modules, each inside the one before."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.inner = Nested(depth - 1) if depth else nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x)
        return y * 1.01 + 0.01 * self.depth


@unexpected()
def deep_tree() -> Built:
    """200 modules inside each other."""
    return Nested(200), rows()


class Wide(nn.Module):
    """Many children, few of which run."""

    def __init__(self, width: int = 20_000) -> None:
        super().__init__()
        self.children_ = nn.ModuleList(nn.Identity() for _ in range(width))
        self.stage = Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stage(self.children_[-1](self.children_[0](x)))  # type: ignore[no-any-return]


@unexpected()
def wide_tree() -> Built:
    """20,000 modules beside each other."""
    return Wide(), rows()


class Alone(nn.Module):
    """A module without children and parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x * 2) + torch.softmax(x, -1)


@unexpected()
def no_module_below_the_root() -> Built:
    """All work is the root's."""
    return Alone(), rows()


@unexpected()
def one_layer() -> Built:
    """The root is a layer of torch."""
    return nn.Linear(WIDTH, WIDTH), rows()
