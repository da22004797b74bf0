"""Ways to call a module: again, by another module, past `__call__`, and with hooks."""

from typing import Any, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage, rows


class Looping(nn.Module):
    """Two modules that run in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            x = self.second(self.first(x))
        return x


@unexpected()
def called_in_a_loop() -> Built:
    """Each call is one of the same two modules."""
    return Looping(), rows()


class Borrower(nn.Module):
    """A module that calls a child of the module around it."""

    def __init__(self, owner: nn.Module) -> None:
        super().__init__()
        self.own = nn.Linear(WIDTH, WIDTH)
        self.__dict__["owner"] = owner  # no child of this one

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        owner = cast(nn.Module, self.owner)
        y: torch.Tensor = owner.get_submodule("lent")(self.own(x))
        return y * 0.5


class Lender(nn.Module):
    """A module whose child another child calls."""

    def __init__(self) -> None:
        super().__init__()
        self.lent = Stage()
        self.borrower = Borrower(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(self.borrower(x))


@unexpected()
def called_by_another_module() -> Built:
    """Where a module runs is not where it stands in the tree."""
    return Lender(), rows()


class Pair(nn.Module):
    """Two modules, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.first(x))
        return y - x


@unexpected()
def replaced_forward() -> Built:
    """An instance whose forward is a function around the old one."""
    model = Pair()
    original = model.first.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        return original(x).sigmoid() * 2

    model.first.forward = forward  # type: ignore[method-assign]
    return model, rows()


class Choosing(nn.Module):
    """A module that registers one of its pool under another name while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.ModuleList([Stage(), Stage()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.current = self.pool[1]
        y: torch.Tensor = self.current(x)
        return y + x


@unexpected()
def named_at_run_time() -> Built:
    """A name that exists only once the model has run."""
    return Choosing(), rows()


class Block(nn.Module):
    """A module with children of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Stage()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(self.inner(x) + x)
        return y


class PastCall(nn.Module):
    """Children whose forward is called as a method."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block.forward(x)
        return x


@unexpected()
def called_past_call() -> Built:
    """What `forward` does when it is called as a method is the caller's work."""
    return PastCall(), rows()


@unexpected()
def changing_hooks() -> Built:
    """Hooks that change what a module gets and what it returns."""
    model = Pair()

    def before(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (torch.exp(inputs[0]), *inputs[1:])

    def after(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(output)

    model.second.register_forward_pre_hook(before)
    model.first.register_forward_hook(after)
    return model, rows()


class Functional(nn.Module):
    """A child that is called with other parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        halved = {name: p * 0.5 for name, p in self.first.named_parameters()}
        x = torch.func.functional_call(self.first, halved, (x,))
        return self.second(x)  # type: ignore[no-any-return]


@unexpected(torchscript="it cannot trace calls with replaced parameters")
def functional_call() -> Built:
    """`torch.func.functional_call`."""
    return Functional(), rows()


class Mapped(nn.Module):
    """A child that is called for each row by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.each = Stage()
        self.all = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.all(torch.vmap(self.each)(x))  # type: ignore[no-any-return]


@unexpected()
def vectorised() -> Built:
    """`torch.vmap`."""
    return Mapped(), rows()


class Recomputed(nn.Module):
    """A child whose values are not kept for the way back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(checkpoint(self.first, x, use_reentrant=False))  # type: ignore[no-any-return]


@unexpected()
def checkpointed() -> Built:
    """`torch.utils.checkpoint`."""
    return Recomputed(), rows()


class Replacing(nn.Module):
    """It puts another module in the place of a child before it calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner: nn.Module = nn.Linear(WIDTH, WIDTH)
        self.others = nn.ModuleList([Stage(), Stage()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.inner(x)
        kept, self.inner = self.inner, self.others[0]
        second = self.inner(first)
        self.inner = kept
        return self.others[1](second)  # type: ignore[no-any-return]


@unexpected()
def replaced_at_run_time() -> Built:
    """A child that another module stands in for while the model runs."""
    return Replacing(), rows()
