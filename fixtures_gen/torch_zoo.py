"""Plain torch modules: each shows one thing that module trees, calls or names can do."""

import warnings
from collections.abc import Callable

import torch
from torch import nn

from fixtures_gen.registry import Inputs, fixture

WIDTH = 16
Built = tuple[nn.Module, Inputs]


def rows() -> Inputs:
    """A batch of vectors."""
    return (torch.randn(4, WIDTH),)


class Stage(nn.Module):
    """A linear step with an activation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.affine = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.affine(x)) * 1.5


class Linear(nn.Module):
    """Called like a class of torch, but none of it."""

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
    """One module object under two names, and within a third."""

    def __init__(self) -> None:
        super().__init__()
        self.front = Stage()
        self.rear = self.front
        self.wrapped = nn.Sequential(nn.Tanh(), self.front)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wrapped(self.rear(self.front(x))) + x


@fixture("torch")
def shared_module() -> Built:
    """Calls under an alias belong to the first name."""
    return Sharing(), rows()


class Recurring(nn.Module):
    """A module that is called again."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Stage()
        self.finish = nn.LayerNorm(WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.finish(self.step(self.step(self.step(x)) - 0.1))


@fixture("torch")
def called_twice() -> Built:
    """Each call of a module is one of its own."""
    return Recurring(), rows()


class Suffixed(nn.Module):
    """A child called like the counter that exporters put behind a second call."""

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
    """A second call and a child whose name looks like one."""
    return Suffixed(), rows()


class Boxes(nn.Module):
    """Sequentials in Sequentials, beside a child after the inner one."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))
        self.outer = nn.Sequential(inner, nn.Sigmoid(), nn.Sequential(Stage(), Stage()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(x).cumsum(-1)


@fixture("torch")
def nested_sequential() -> Built:
    """Containers that are called themselves."""
    return Boxes(), rows()


@fixture("torch")
def root_sequential() -> Built:
    """The root itself is a Sequential: paths begin with a number."""
    return nn.Sequential(
        nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Sequential(Stage(), Linear())
    ), rows()


class Heads(nn.Module):
    """A ModuleDict and a ModuleList, which are never called themselves."""

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
    """Containers that run nothing."""
    return Heads(), rows()


def blend(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A helper outside any module."""

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
    """What a helper computes belongs to the module whose forward called it."""
    return Helped(), rows()


class Pairing(nn.Module):
    """Computes, and owns nothing."""

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
    """Nothing but structure to go by."""
    return Bare(), {"left": torch.randn(3, 5, WIDTH), "right": torch.randn(3, 5, WIDTH)}


class Oddly(nn.Module):
    """Children whose names are no identifiers."""

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
    """The module that uses a weight is not the one that owns it."""
    return Tied(), {"tokens": torch.randperm(24)[:18].reshape(2, 9)}


class Recurrent(nn.Module):
    """An LSTM and a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.long = nn.LSTM(WIDTH, 12, batch_first=True)
        self.short = nn.GRU(12, WIDTH, bidirectional=True, batch_first=True)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        states, _ = self.long(series)
        return self.short(states)[0].tanh()


@fixture("torch")
def recurrent() -> Built:
    """Fused recurrent operators, or what they are taken apart into."""
    return Recurrent(), {"series": torch.randn(2, 5, WIDTH)}


class Stacked(nn.Module):
    """LSTMs on top of each other, a norm and a residual around each."""

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        self.lookup = nn.Embedding(40, WIDTH)
        self.layers = nn.ModuleList(nn.LSTM(WIDTH, WIDTH, batch_first=True) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(layers))
        self.head = nn.Linear(WIDTH, 40)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.lookup(tokens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(x + layer(x)[0])
        return self.head(x)


@fixture("torch")
def lstm_stack() -> Built:
    """Recurrent layers that are alike."""
    return Stacked(), {"tokens": torch.randperm(40)[:18].reshape(2, 9)}


class Filters(nn.Module):
    """Convolution, normalisation, pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.project = nn.Conv2d(8, 4, 1)
        self.group = nn.GroupNorm(2, 4)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.bn(self.conv(picture))))
        return self.group(self.project(x)).mean((2, 3))


@fixture("torch")
def conv_batchnorm() -> Built:
    """A batch norm that exporters fold into the convolution before it."""
    return Filters(), {"picture": torch.randn(2, 3, 12, 12)}


class Block(nn.Module):
    """Two convolutions with norms, and a shortcut where the width changes."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, out, 3, padding=1),
            nn.GroupNorm(2, out),
            nn.SiLU(),
            nn.Conv2d(out, out, 3, padding=1),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Conv2d(width, out, 1) if width != out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


class Hourglass(nn.Module):
    """Down, through the middle, and up again beside what was kept on the way down."""

    def __init__(self, widths: tuple[int, ...] = (4, 8, 12)) -> None:
        super().__init__()
        pairs = list(zip((3, *widths), widths, strict=False))
        self.down = nn.ModuleList(Block(a, b) for a, b in pairs)
        self.pool = nn.AvgPool2d(2)
        self.middle = nn.Sequential(Block(widths[-1], widths[-1]), Block(widths[-1], widths[-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, b, 2, stride=2) for b in reversed(widths))
        self.merge = nn.ModuleList(Block(2 * b, max(a, widths[0])) for a, b in reversed(pairs))
        self.head = nn.Conv2d(widths[0], 2, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x, kept = picture, []
        for block in self.down:
            x = block(x)
            kept.append(x)
            x = self.pool(x)
        x = self.middle(x)
        for widen, block in zip(self.up, self.merge, strict=True):
            x = block(torch.cat([widen(x), kept.pop()], 1))
        return self.head(x)


@fixture("torch")
def unet() -> Built:
    """A U-Net: skips across, no two of them alike."""
    return Hourglass(), {"picture": torch.randn(2, 3, 16, 16)}


def choose(x: torch.Tensor) -> torch.Tensor:
    """A branch that depends on the data."""
    if bool(x.mean() > 100):  # noqa: SIM108 - a branch is what it is for
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
    """Runs a compiled function."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # for as long as it is there
            self.function = torch.jit.script(function)  # type: ignore[no-untyped-call]

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.function(*tensors)  # type: ignore[no-any-return]


class Around(nn.Module):
    """A module that runs a compiled function, between two others."""

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
