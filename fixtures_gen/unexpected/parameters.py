"""Parameters that are computed, masked, lazy, at the root, or no parameters at all."""

import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


def affine() -> nn.Linear:
    """A square layer."""
    return nn.Linear(WIDTH, WIDTH)


@unexpected()
def weight_norm() -> Built:
    """A weight that is computed of a direction and a length."""
    return nn.Sequential(parametrizations.weight_norm(affine()), nn.Tanh(), Stage()), rows()


@unexpected(torchscript="it lacks an operator (vdot)")
def spectral_norm() -> Built:
    """A weight that is divided by its largest singular value."""
    return nn.Sequential(parametrizations.spectral_norm(affine()), nn.Tanh(), Stage()), rows()


class Symmetric(nn.Module):
    """Makes a matrix symmetric."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight.triu() + weight.triu(1).transpose(-1, -2)


@unexpected()
def own_parametrization() -> Built:
    """A weight that a module computes."""
    layer = affine()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    return nn.Sequential(layer, nn.Tanh(), Stage()), rows()


@unexpected()
def pruned() -> Built:
    """A weight with a mask, which a hook applies."""
    layer = affine()
    prune.random_unstructured(layer, "weight", 0.5)  # type: ignore[no-untyped-call]
    return nn.Sequential(layer, nn.Tanh(), Stage()), rows()


@unexpected()
def lazy() -> Built:
    """Layers that get their shapes when they run first."""
    return nn.Sequential(nn.LazyLinear(WIDTH), nn.ReLU(), nn.LazyLinear(WIDTH)), rows()


class AtRoot(nn.Module):
    """Parameters and a buffer of the root."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.bias = nn.Parameter(torch.randn(WIDTH))
        self.scale: torch.Tensor
        self.register_buffer("scale", torch.rand(WIDTH) + 0.5)
        self.stage = Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stage(x @ self.weight + self.bias) * self.scale  # type: ignore[no-any-return]


@unexpected()
def parameters_of_the_root() -> Built:
    """The root does work with parameters of its own."""
    return AtRoot(), rows()


class Fixed(nn.Module):
    """A buffer that is not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix: torch.Tensor
        self.register_buffer("matrix", torch.randn(WIDTH, WIDTH), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix


@unexpected()
def buffers_alone() -> Built:
    """Modules that have buffers only."""
    return nn.Sequential(Fixed(), Stage(), Fixed()), rows()


class Quantised(nn.Module):
    """A layer whose weight is kept as integers with a scale for each row."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(WIDTH, WIDTH)
        scale = weight.abs().amax(1, keepdim=True) / 127
        self.scale: torch.Tensor
        self.weight: torch.Tensor
        self.register_buffer("scale", scale)
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype) * self.scale)


@unexpected()
def quantised_layers() -> Built:
    """Weights as 8-bit integers."""
    return nn.Sequential(Quantised(), nn.Tanh(), Quantised()), rows()
