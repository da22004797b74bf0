"""Modules that torch compiled to scripts, with a branch or a loop that depends on the data."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from fixtures_gen.registry import Built, fixture
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


def choose(x: torch.Tensor) -> torch.Tensor:
    """A branch that depends on the data."""
    if bool(x.mean() > 100):  # noqa: SIM108 - the fixture needs a branch
        y = torch.tanh(x)
    else:
        y = torch.sin(x * 2) + x
    return y


def repeat(x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """A loop whose count depends on the data."""
    for _ in range(int(times)):
        x = torch.cos(x) * 1.25
    return x


class Scripted(nn.Module):
    """A module that runs a compiled function."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit is deprecated
            self.function = torch.jit.script(function)  # type: ignore[no-untyped-call]

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.function(*tensors)  # type: ignore[no-any-return]


class Around(nn.Module):
    """A module between two others."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.before = Stage()
        self.middle = middle
        self.after = Stage()

    def forward(self, x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        return self.after(self.middle(self.before(x), *more))  # type: ignore[no-any-return]


@fixture("torch", dynamo="torch.export refuses a branch on data")
def scripted_branch() -> Built:
    """A compiled function with an If."""
    return Around(Scripted(choose)), rows()


@fixture("torch", dynamo="torch.export refuses a loop whose length depends on data")
def scripted_loop() -> Built:
    """A compiled function with a Loop."""
    return Around(Scripted(repeat)), (torch.randn(4, WIDTH), torch.tensor(3))
