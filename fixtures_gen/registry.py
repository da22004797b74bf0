"""The register of fixtures: which models there are, and which exporters can export them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

Inputs = tuple[torch.Tensor, ...] | dict[str, Any]
Built = tuple[nn.Module, Inputs]
"""A model and its inputs."""

Factory = Callable[[], Built]

SEED = 3

_WEIGHT_NOISE = 0.2
"""Standard deviation of what is added to each weight."""


@dataclass(frozen=True)
class Fixture:
    """One model.

    Attributes:
        name: Name of its factory.
        build: Returns the module in eval mode, with the same weights each time, and its inputs.
        family: `transformers`, `torch` or `unexpected`.
        refused_by: Why an exporter cannot export it, by exporter. A test checks that the exporter
            really fails, so that an entry is removed when an exporter improves.
    """

    name: str
    build: Factory
    family: str
    refused_by: Mapping[str, str] = field(default_factory=dict)


FIXTURES: dict[str, Fixture] = {}
"""The fixtures of the zoo by name, in the order of definition."""

UNEXPECTED: dict[str, Fixture] = {}
"""The fixtures of `fixtures_gen.unexpected` by name, in the order of definition."""


def fixture(family: str, **refused_by: str) -> Callable[[Factory], Factory]:
    """Register a factory of the zoo. Its models are reproducible, with random weights.

    Args:
        family: `transformers` or `torch`.
        refused_by: Why an exporter cannot export the model, by exporter.
    """
    return lambda factory: _register(FIXTURES, factory, family, refused_by)


def unexpected(**refused_by: str) -> Callable[[Factory], Factory]:
    """Register a factory of modules that nobody expects.

    Args:
        refused_by: Why an exporter cannot export the model, by exporter.
    """
    return lambda factory: _register(UNEXPECTED, factory, "unexpected", refused_by)


def _register(
    fixtures: dict[str, Fixture], factory: Factory, family: str, refused_by: Mapping[str, str]
) -> Factory:
    def build() -> Built:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model, inputs = factory()
            return randomized(model).eval(), inputs

    build.__name__ = build.__qualname__ = factory.__name__
    build.__module__, build.__doc__ = factory.__module__, factory.__doc__
    fixtures[factory.__name__] = Fixture(factory.__name__, build, family, refused_by)
    return build


def randomized(model: nn.Module) -> nn.Module:
    """Give every weight its own values.

    New models have biases of 0, scales of 1 and variances of 1. With these, the output of one step
    equals that of the next, and values do not show where they come from.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and not is_lazy(parameter):
                parameter.add_(torch.randn_like(parameter), alpha=_WEIGHT_NOISE)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:  # noqa: SLF001 - the one common base
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
    return model


def inputs_as_call(inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments for calling a model."""
    return ((), dict(inputs)) if isinstance(inputs, dict) else (tuple(inputs), {})
