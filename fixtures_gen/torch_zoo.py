"""Plain torch modules: each shows one thing that module trees, calls or names can do."""

from collections.abc import Callable

import torch
from torch import nn

from fixtures_gen.registry import Built, Inputs, fixture

WIDTH = 16
"""Length of the vectors that the models compute with."""


def rows() -> Inputs:
    """A batch of vectors."""
    return (torch.randn(4, WIDTH),)


class Stage(nn.Module):
    """A linear layer with its own activation."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.affine(x)) * 1.5


class Linear(nn.Module):
    """A class with the name of a class of torch, which is not from torch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.inner(x))


class ScaledLinear(nn.Linear):
    """A subclass of a torch module, defined outside torch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 0.7


class Sharing(nn.Module):
    """One module object under two names, and inside a third module."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Stage()
        self.rear = self.front
        self.wrapped = nn.Sequential(nn.Tanh(), self.front)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wrapped(self.rear(self.front(x))) + x


@fixture("torch")
def shared_module() -> Built:
    """Calls under an alias belong to the first path."""
    return Sharing(), rows()


class Recurring(nn.Module):
    """A model that calls one module three times."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Stage()
        self.finish = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.finish(self.step(self.step(self.step(x)) - 0.1))


@fixture("torch")
def called_twice() -> Built:
    """Each call of a module has its own number."""
    return Recurring(), rows()


class Suffixed(nn.Module):
    """A child whose name looks like the counter that exporters add for a second call."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Stage()
        self.step_1 = Stage()
        self.add_module("_1", Stage())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.step(self.step(x))
        return self.step_1(self.get_submodule("_1")(x))


@fixture("torch")
def suffixed_names() -> Built:
    """A second call, and a child whose name looks like a second call."""
    return Suffixed(), rows()


class Boxes(nn.Module):
    """Sequentials inside a Sequential, with other modules between them."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))
        self.outer = nn.Sequential(inner, nn.Sigmoid(), nn.Sequential(Stage(), Stage()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(x).cumsum(-1)


@fixture("torch")
def nested_sequential() -> Built:
    """Containers that are called."""
    return Boxes(), rows()


@fixture("torch")
def root_sequential() -> Built:
    """The root is a Sequential: paths begin with a number."""
    return nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Sequential(Stage(), Linear())
    ), rows()


class Heads(nn.Module):
    """A ModuleDict and a ModuleList, which are never called."""

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleDict(
            {"left": Stage(), "right": Linear(), "0": ScaledLinear(WIDTH, WIDTH)}
        )
        self.stack = nn.ModuleList([Stage(), nn.ModuleList([Stage()])])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.stack([tower(x) for tower in self.towers.values()]).mean(0)
        for entry in self.stack:
            x = entry(x) if isinstance(entry, Stage) else entry[0](x) * x
        return x


@fixture("torch")
def module_containers() -> Built:
    """Containers that run no operators."""
    return Heads(), rows()


def blend(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A helper function outside any module."""

    def squash(value: torch.Tensor) -> torch.Tensor:
        return torch.exp(-value * value)

    return squash(a) * b + squash(b)


class Helped(nn.Module):
    """Helpers, methods and a lambda that call modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Stage()
        self.second = Linear()
        self.gain = nn.Parameter(torch.ones(WIDTH))

    def _apply_with(
        self, change: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
    ) -> torch.Tensor:
        return change(self.first(x)) - self.gain

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._apply_with(lambda value: blend(value, self.second(value)), x)


@fixture("torch")
def helper_functions() -> Built:
    """A node from a helper function belongs to the module whose forward called the function."""
    return Helped(), rows()


class Pairing(nn.Module):
    """A module without parameters."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return torch.softmax(left @ right.transpose(-1, -2) / 3, -1) @ right


class Bare(nn.Module):
    """A model without any parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.pairing = Pairing()
        self.act = nn.SiLU()

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.act(self.pairing(left, right)) - left


@fixture("torch")
def no_parameters() -> Built:
    """A model that only its structure identifies."""
    return Bare(), {"left": torch.randn(3, 5, WIDTH), "right": torch.randn(3, 5, WIDTH)}


class Oddly(nn.Module):
    """Children whose names are not identifiers."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("a/b", Stage())
        self.add_module("50% off", Stage())
        self.add_module("tête:à-tête", nn.Sequential(Stage()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for child in self.children():
            x = child(x)
        return x


@fixture("torch")
def odd_names() -> Built:
    """Slashes, percent signs, spaces and letters beyond ASCII."""
    return Oddly(), rows()


class Tied(nn.Module):
    """An embedding and a head that hold the same parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Embedding(24, WIDTH)
        self.body = Stage()
        self.head = nn.Linear(WIDTH, 24, bias=False)
        self.head.weight = self.lookup.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.lookup(tokens)))


@fixture("torch")
def tied_weights() -> Built:
    """A weight that one module owns and another one uses."""
    return Tied(), {"tokens": torch.randperm(24)[:18].reshape(2, 9)}
