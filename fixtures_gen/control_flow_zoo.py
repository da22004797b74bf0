"""Control flow as torch's higher-order operators, with modules inside: If, Loop and Scan.

Torch's exporter drops the modules inside these operators.
"""

from typing import Any

import torch
from torch import nn

from fixtures_gen.registry import Built, fixture
from fixtures_gen.torch_zoo import WIDTH, Linear, Stage, rows

REFUSED = "TorchScript has no higher-order operators"


class Choosing(nn.Module):
    """A condition with one module in each branch."""

    def __init__(self) -> None:
        super().__init__()
        self.warm = Stage()
        self.cold = Linear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.cond(x.mean() > 100, self.warm, self.cold, (x,))
        return y - x


@fixture("torch", torchscript=REFUSED)
def conditional() -> Built:
    """`torch.cond`: an If with modules in its bodies."""
    return Choosing(), rows()


class ChoosingTwice(nn.Module):
    """A condition inside a branch of a condition; one module runs inside and after both."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = Choosing()
        self.other = Linear()
        self.after = Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def inner(value: torch.Tensor) -> torch.Tensor:
            both: torch.Tensor = self.choice(value) + self.after(value)
            return both

        y: torch.Tensor = torch.cond(x.sum() < 20_000, inner, self.other, (x,))
        return self.after(y)  # type: ignore[no-any-return]


@fixture("torch", torchscript=REFUSED)
def nested_conditional() -> Built:
    """`torch.cond` in `torch.cond`: an If in the body of an If."""
    return ChoosingTwice(), rows()


class Repeating(nn.Module):
    """A loop with a module in its body."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Stage()

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        def more(count: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return count < times

        def body(count: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return count + 1, self.step(value)

        start = torch.zeros((), dtype=torch.int64)
        loop: Any = torch._higher_order_ops.while_loop  # noqa: SLF001 - public with a later torch
        _, y = loop(more, body, (start, x))
        return y * x  # type: ignore[no-any-return]


@fixture("torch", torchscript=REFUSED)
def while_loop() -> Built:
    """`while_loop`: a Loop with a module in its body."""
    return Repeating(), (torch.randn(4, WIDTH), torch.tensor(3))


class Scanning(nn.Module):
    """A recurrence over the steps of a sequence, with modules in its body."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(WIDTH, WIDTH)
        self.gate = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def step(state: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            new = self.gate(self.cell(state) + row)
            return new, new * 2

        start = torch.full((4, WIDTH), 0.5)
        scan: Any = torch._higher_order_ops.scan  # noqa: SLF001 - public with a later torch
        last, every = scan(step, start, x)
        return every + last  # type: ignore[no-any-return]


@fixture("torch", torchscript=REFUSED)
def scanned() -> Built:
    """`scan`: a Scan with modules in its body."""
    return Scanning(), (torch.randn(5, 4, WIDTH),)
