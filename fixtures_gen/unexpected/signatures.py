"""Inputs and outputs of every form."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


class Two(nn.Module):
    """Two modules, whose results a subclass returns in its own form."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.first(x)
        return y, self.second(y)


class ReturnsDict(Two):
    """A dictionary in a dictionary."""

    def forward(self, x: torch.Tensor) -> dict[str, Any]:
        first, second = self.both(x)
        return {"first": first, "rest": {"second": second, "none": None}}


@unexpected()
def dict_output() -> Built:
    """Outputs in a dictionary."""
    return ReturnsDict(), rows()


class ReturnsTuples(Two):
    """Tuples and lists in a tuple."""

    def forward(self, x: torch.Tensor) -> tuple[Any, ...]:
        first, second = self.both(x)
        return first, [second, (first + 1,)], None


@unexpected()
def nested_outputs() -> Built:
    """Outputs in nested tuples, one of them None."""
    return ReturnsTuples(), rows()


class Results(NamedTuple):
    """Two tensors by name."""

    first: torch.Tensor
    second: torch.Tensor


class ReturnsNamed(Two):
    """A named tuple."""

    def forward(self, x: torch.Tensor) -> Results:
        return Results(*self.both(x))


@unexpected()
def named_outputs() -> Built:
    """Outputs in a named tuple."""
    return ReturnsNamed(), rows()


@dataclass
class Result:
    """Two tensors in a class of the user's own, which torch does not know."""

    first: torch.Tensor
    second: torch.Tensor


class ReturnsObject(Two):
    """A dataclass."""

    def forward(self, x: torch.Tensor) -> Result:
        return Result(*self.both(x))


@unexpected()
def dataclass_output() -> Built:
    """Outputs in a dataclass."""
    return ReturnsObject(), rows()


class KeywordOnly(Two):
    """Inputs that must be given by name, one of them a flag."""

    def forward(
        self, *, x: torch.Tensor, y: torch.Tensor | None = None, double: bool = True
    ) -> torch.Tensor:
        z: torch.Tensor = self.first(x)
        if y is not None:
            z = z + self.second(y)
        return z * 2 if double else z


@unexpected()
def keyword_only_inputs() -> Built:
    """Inputs after a star."""
    return KeywordOnly(), {"x": torch.randn(4, WIDTH), "y": torch.randn(4, WIDTH)}


@unexpected()
def omitted_input() -> Built:
    """An optional input that is not given."""
    return KeywordOnly(), {"x": torch.randn(4, WIDTH)}


class TakesList(nn.Module):
    """A list of tensors, one for each child."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList([Stage(), Stage()])

    def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat([module(x) for module, x in zip(self.each, parts, strict=True)], -1)


@unexpected()
def list_input() -> Built:
    """Inputs in a list."""
    return TakesList(), {"parts": [torch.randn(4, WIDTH), torch.randn(4, WIDTH)]}
