"""A small model and its relatives: with adapters, another head, other layers, another activation.

A relative is made of a copy of the base. Of each of its modules it is known which module of the
base it is or takes the place of, so that the tags of its nodes by the record of the base have a
truth: the module's origin, or a module around it; none for what the base does not have.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

WIDTH = 16
WORDS = 50


class Attention(nn.Module):
    """Self-attention with one head."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) / 4, -1)
        result: torch.Tensor = self.out(weights @ self.value(x))
        return result


class Layer(nn.Module):
    """Attention and a feed-forward part, each with a residual and a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = Attention(), nn.LayerNorm(WIDTH)
        self.up, self.activation, self.down = nn.Linear(WIDTH, 32), nn.GELU(), nn.Linear(32, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH)
        self.adapter: nn.Module = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x + self.adapter(self.attention(x)))
        result: torch.Tensor = self.last_norm(x + self.down(self.activation(self.up(x))))
        return result


class Base(nn.Module):
    """A language model of three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.head: nn.Module = nn.Linear(WIDTH, WORDS, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        result: torch.Tensor = self.head(x)
        return result


class Lora(nn.Module):
    """A linear layer with a low-rank adapter beside it."""

    def __init__(self, base: nn.Module, deviation: float = 0.05) -> None:
        super().__init__()
        self.base = base
        self.inner, self.outer = nn.Linear(WIDTH, 4, bias=False), nn.Linear(4, WIDTH, bias=False)
        nn.init.normal_(self.outer.weight, std=deviation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x) + self.outer(self.inner(x)) * 2.0
        return result


class Scaled(nn.Module):
    """A linear layer whose result is multiplied with a vector."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base, self.scale = base, nn.Parameter(torch.rand(WIDTH) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.base(x) * self.scale
        return result


class Bottleneck(nn.Module):
    """An adapter that stands between two modules."""

    def __init__(self, *, zero: bool = False) -> None:
        super().__init__()
        self.down, self.activation, self.up = nn.Linear(WIDTH, 6), nn.ReLU(), nn.Linear(6, WIDTH)
        if zero:
            nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = x + self.up(self.activation(self.down(x)))
        return result


class TwoHeads(nn.Module):
    """The base with a further head."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.embedding, self.layers, self.head = base.embedding, base.layers, base.head
        self.score = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3))

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x), self.score(x)


class Classifier(nn.Module):
    """The base with a classification head in place of its own."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.embedding, self.layers = base.embedding, base.layers
        self.score = nn.Linear(WIDTH, 3, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        result: torch.Tensor = self.score(x.mean(1))
        return result


@dataclass(frozen=True)
class Relative:
    """A relative of the base.

    Attributes:
        model: It.
        inputs: What it and the base are called with.
        origins: Paths of its modules to the module of the base that each is, takes the place of, or
            stands in.
        own: Paths of its modules that the base does not have.
    """

    model: nn.Module
    inputs: dict[str, torch.Tensor]
    origins: dict[str, str]
    own: frozenset[str]


def base() -> tuple[Base, dict[str, torch.Tensor]]:
    """The base and its inputs."""
    torch.manual_seed(13)
    model = Base().eval()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model, {"ids": torch.arange(12).reshape(2, 6) * 3 % WORDS}


class _Origins:
    """Keeps which module of the base each module of a copy is."""

    def __init__(self, model: nn.Module) -> None:
        self._paths = {module: path for path, module in model.named_modules()}
        self._of_base = frozenset(self._paths)

    def replace(self, parent: nn.Module, name: str, new: nn.Module) -> None:
        """Put a module in the place of another."""
        self._paths[new] = self._paths[parent.get_submodule(name)]
        setattr(parent, name, new)

    def of(self, root: nn.Module) -> tuple[dict[str, str], frozenset[str]]:
        """The origin of each path of a model, and the paths that have none of their own."""
        self._paths.setdefault(root, "")
        origins: dict[str, str] = {}
        for path, module in root.named_modules():
            around = origins.get(path.rpartition(".")[0], "")
            origins[path] = self._paths.get(module, around)
        own = (path for path, module in root.named_modules() if module not in self._of_base)
        return origins, frozenset(own)


Change = Callable[[Base, _Origins], nn.Module]


def _in_layers(change: Callable[[Layer, _Origins], None]) -> Change:
    def changed(model: Base, origins: _Origins) -> nn.Module:
        for layer in model.layers:
            assert isinstance(layer, Layer)
            change(layer, origins)
        return model

    return changed


def _wrap(names: str, wrapper: Callable[[nn.Module], nn.Module]) -> Change:
    def wrapped(layer: Layer, origins: _Origins) -> None:
        for name in names.split():
            origins.replace(layer.attention, name, wrapper(layer.attention.get_submodule(name)))

    return _in_layers(wrapped)


def _adapted(*, zero: bool) -> Change:
    def adapted(layer: Layer, _: _Origins) -> None:
        layer.adapter = Bottleneck(zero=zero)

    return _in_layers(adapted)


def _activated(activation: Callable[[], nn.Module]) -> Change:
    return _in_layers(lambda layer, origins: origins.replace(layer, "activation", activation()))


def _without_layer(position: int) -> Change:
    def without(model: Base, origins: _Origins) -> nn.Module:
        left = (layer for n, layer in enumerate(model.layers) if n != position)
        origins.replace(model, "layers", nn.ModuleList(left))
        return model

    return without


def _with_layer(position: int) -> Change:
    def with_layer(model: Base, origins: _Origins) -> nn.Module:
        layers = list(model.layers)
        layers.insert(position, Layer())
        origins.replace(model, "layers", nn.ModuleList(layers))
        return model

    return with_layer


CHANGES: dict[str, Change] = {
    "adapters beside": _wrap("query value", Lora),
    "adapters beside, all": _wrap("query key value out", Lora),
    "adapters beside, of zeros": _wrap("query value", lambda m: Lora(m, 0.0)),
    "adapters between": _adapted(zero=False),
    "adapters between, of zeros": _adapted(zero=True),
    "scaled": _wrap("key value", Scaled),
    "other activation": _activated(nn.ReLU),
    "first layer removed": _without_layer(0),
    "middle layer removed": _without_layer(1),
    "layer added in front": _with_layer(0),
    "layer added between": _with_layer(1),
    "layer added behind": _with_layer(3),
    "further head": lambda model, _: TwoHeads(model),
    "other head": lambda model, _: Classifier(model),
}
"""How each relative differs from the base."""


def relative(name: str) -> Relative:
    """A relative of the base."""
    model, inputs = base()
    origins = _Origins(model)
    torch.manual_seed(5)
    changed = CHANGES[name](model, origins).eval()
    return Relative(changed, inputs, *origins.of(changed))
