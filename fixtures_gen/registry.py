"""The register of fixtures: which models there are, and which exporters can take them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...] | dict[str, torch.Tensor]
Factory = Callable[[], tuple[nn.Module, Inputs]]

SEED = 3


@dataclass(frozen=True)
class Fixture:
    """One model of the zoo.

    Attributes:
        name: Name of its factory.
        build: Gives the module in eval mode, the same weights each time, and its inputs.
        family: `transformers` or `torch`.
        refused_by: Why an exporter cannot take it, by exporter. A test holds that it really
            cannot, so that an entry goes when an exporter learns it.
    """

    name: str
    build: Factory
    family: str
    refused_by: Mapping[str, str] = field(default_factory=dict)


FIXTURES: dict[str, Fixture] = {}
"""Every fixture by name, in the order of definition."""


def fixture(family: str, **refused_by: str) -> Callable[[Factory], Factory]:
    """Register a factory; what it builds is made reproducible and told apart by its values."""

    def register(factory: Factory) -> Factory:
        def build() -> tuple[nn.Module, Inputs]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(SEED)
                model, inputs = factory()
                return randomized(model).eval(), inputs

        build.__name__ = build.__qualname__ = factory.__name__
        build.__module__, build.__doc__ = factory.__module__, factory.__doc__
        FIXTURES[factory.__name__] = Fixture(factory.__name__, build, family, refused_by)
        return build

    return register


def randomized(model: nn.Module) -> nn.Module:
    """Give every weight values of its own.

    Fresh models have zero biases, unit scales and unit variances, with which the output of one
    step equals that of the next and values say nothing about where they came from.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
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
