"""Small networks of recurrent and convolutional layers."""

import torch
from torch import nn

from fixtures_gen.registry import Built, fixture
from fixtures_gen.torch_zoo import WIDTH


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
    """Recurrent operators, which exporters write as one node or as many."""
    return Recurrent(), {"series": torch.randn(2, 5, WIDTH)}


class Stacked(nn.Module):
    """A stack of LSTMs, each with a norm and a residual connection."""

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
    """Equal recurrent layers, which only their weights and positions tell apart."""
    return Stacked(), {"tokens": torch.randperm(40)[:18].reshape(2, 9)}


class Filters(nn.Module):
    """Convolutions with normalisation and pooling."""

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
    """A batch normalisation that exporters fold into the convolution before it."""
    return Filters(), {"picture": torch.randn(2, 3, 12, 12)}


class Block(nn.Module):
    """Two convolutions with norms, and a shortcut."""

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
    """A U-Net: the way down, the middle, and the way up with skip connections."""

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
    """A U-Net with skip connections, no two of them equal."""
    return Hourglass(), {"picture": torch.randn(2, 3, 16, 16)}
