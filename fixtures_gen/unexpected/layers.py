"""Layers of torch with fast paths, or that exporters take apart."""

import torch
from torch import nn

from fixtures_gen.registry import Built, unexpected
from fixtures_gen.torch_zoo import WIDTH, Stage

HEADS = 4


def sequences(length: int = 5) -> torch.Tensor:
    """A batch of sequences of vectors."""
    return torch.randn(2, length, WIDTH)


class Attending(nn.Module):
    """Attention with a residual connection."""

    def __init__(self, *, weights: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm = nn.LayerNorm(WIDTH)
        self.weights = weights

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, weights = self.attention(x, x, x, need_weights=self.weights)
        y = self.norm(y + x)
        return y, y if weights is None else weights


@unexpected()
def attention() -> Built:
    """The layer runs through a fused operator."""
    return Attending(weights=False), (sequences(),)


@unexpected()
def attention_with_weights() -> Built:
    """The layer returns its weights, too."""
    return Attending(weights=True), (sequences(),)


@unexpected()
def transformer_encoder() -> Built:
    """Layers with a fast path for evaluation."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, batch_first=True)
    return nn.TransformerEncoder(layer, 2), (sequences(),)


@unexpected()
def transformer() -> Built:
    """Encoder and decoder."""
    model = nn.Transformer(WIDTH, HEADS, 1, 1, 2 * WIDTH, batch_first=True)
    return model, (sequences(), sequences(3))


class Cells(nn.Module):
    """Recurrent layers, and cells that do one step."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.LSTM(WIDTH, WIDTH, 2, bidirectional=True)
        self.step = nn.GRUCell(2 * WIDTH, WIDTH)
        self.last = nn.LSTMCell(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.layers(x)
        hidden, cell = self.last(self.step(y[-1]))
        return hidden + cell  # type: ignore[no-any-return]


@unexpected()
def recurrent_cells() -> Built:
    """One layer of several directions and levels, and single steps."""
    return Cells(), (sequences(),)


@unexpected()
def dropout_and_statistics() -> Built:
    """Layers that do something else while they are trained."""
    layers = (nn.Linear(WIDTH, WIDTH), nn.Dropout(0.3), nn.BatchNorm1d(WIDTH), nn.Tanh(), Stage())
    return nn.Sequential(*layers), (torch.randn(4, WIDTH),)
