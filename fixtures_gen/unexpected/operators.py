"""Operators that exporters or torch treat in a way of their own."""

from typing import Any

import torch
from torch import nn
from torch._higher_order_ops.map import map as map_rows
from torch._higher_order_ops.scan import scan

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


class Swish(torch.autograd.Function):
    """A function with a gradient of its own."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)


class Custom(nn.Module):
    """A module that calls such a function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Swish.apply(x)  # type: ignore[no-any-return, no-untyped-call]


@unexpected()
def custom_gradient() -> Built:
    """`torch.autograd.Function`."""
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), Custom(), Stage()), rows()


class Spectrum(nn.Module):
    """A filter in the frequency domain."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(WIDTH // 2 + 1, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(x) * torch.view_as_complex(self.filter)
        y: torch.Tensor = torch.fft.irfft(spectrum, n=WIDTH)
        return y


@unexpected(torchscript="it has no complex numbers")
def complex_numbers() -> Built:
    """Fourier transforms."""
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), Spectrum(), Stage()), rows()


class Contraction(nn.Module):
    """A product along named axes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bhi,hij->bhj", x.view(-1, 4, 4), self.weight).flatten(1)


@unexpected()
def einsum() -> Built:
    """`torch.einsum`."""
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), Contraction(), Stage()), rows()


class Accumulating(nn.Module):
    """A scan whose body is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Stage()
        self.last = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def body(carry: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.tanh(carry + row), carry * row

        _, ys = scan(body, self.first(x[0]), x)
        return self.last(ys)  # type: ignore[no-any-return]


@unexpected(torchscript="TorchScript has no higher-order operators")
def scan_of_a_function() -> Built:
    """A scan between two modules."""
    return Accumulating(), (torch.randn(3, 4, WIDTH),)


class InPlace(nn.Module):
    """Operators that write to their inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stage(x).add_(1)
        y[:, :2] = 0
        return self.relu(y).mul_(2)  # type: ignore[no-any-return]


@unexpected()
def in_place() -> Built:
    """Views and operators in place."""
    return InPlace(), rows()


class Counting(nn.Module):
    """A buffer that each run changes."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.total: torch.Tensor
        self.register_buffer("total", torch.zeros(WIDTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stage(x)
        self.total.add_(y.mean(0))
        return y + self.total  # type: ignore[no-any-return]


@unexpected()
def changed_buffer() -> Built:
    """A model with a state."""
    return Counting(), rows()


class Mapped(nn.Module):
    """One module for each row of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = map_rows(self.stage, x)
        return y.relu()


@unexpected(torchscript="it has no map", dynamo="it has no translation of a map")
def map_of_a_module() -> Built:
    """A map over the rows of a batch."""
    return Mapped(), (torch.randn(3, 2, WIDTH),)


@torch.library.custom_op("modelexport_fixtures::shifted", mutates_args=())
def shifted(x: torch.Tensor) -> torch.Tensor:
    """An operator that no exporter has a translation for."""
    return x * 2 + 1


shifted.register_fake(torch.empty_like)


class Calling(nn.Module):
    """It calls an operator of a library between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(WIDTH, WIDTH)
        self.after = Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(shifted(self.before(x)))  # type: ignore[no-any-return]


@unexpected(torchscript="it has no translation", dynamo="it has no translation")
def library_operator() -> Built:
    """An operator of `torch.library`."""
    return Calling(), rows()
