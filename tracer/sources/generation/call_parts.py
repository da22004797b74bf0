"""A part that is one call of a model: its inputs, its dynamic axes, and what the model does in it.

The encoder and the decoder stay where they are in the model: only the forward of the model's
instance is another one, for the time of a trace. So each part has the whole model's module tree.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from modelexport.hierarchy.choices import PartRole
from modelexport.tracer.sources.caches import is_cache
from modelexport.tracer.sources.containers import Tensors, take_apart
from modelexport.tracer.sources.generation.captured_calls import Values, named_tensors
from modelexport.tracer.sources.generation.step_inputs import Axes, growing_axes
from modelexport.tracer.sources.replaced_forward import replaced_forward
from modelexport.tracer.sources.signature import flat_signature, output_tensors

Forward = Callable[..., Any]


@dataclass(frozen=True)
class ModelPart:
    """One call of a model, which becomes a file of its own.

    Attributes:
        role: What the part does.
        inputs: The inputs of the part by name.
        axes: The dynamic axes of its inputs.
        forward: What the model does in this call. It gets the model's own forward, and the inputs
            by name.
    """

    role: PartRole
    inputs: Mapping[str, Any]
    axes: Axes
    forward: Callable[[Forward, Values], Any]

    @contextmanager
    def forward_of(self, model: nn.Module) -> Iterator[None]:
        """Let a model do what this part does while the body runs."""
        original = model.forward
        signature = flat_signature(list(self.inputs))

        def forward(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
            inputs = signature.bind(*args, **kwargs).arguments
            read = list(named_tensors(inputs).values())  # kept: identities of dead tensors return
            outputs = output_tensors(self.forward(original, inputs))
            passed_on = set(map(id, read))
            return {n: tensor for n, tensor in outputs.items() if id(tensor) not in passed_on}

        forward.__signature__ = signature  # type: ignore[attr-defined]
        with replaced_forward(model, forward):
            yield


@dataclass(frozen=True)
class PastStep:
    """The arguments of a decoder's forward with a cache among them, and their dynamic axes."""

    inputs: Mapping[str, Any]
    axes: Axes = field(default_factory=dict)


def dynamic_axes(
    small: Values,
    large: Values | None,
    names: Mapping[int, str],
    of_caches: Mapping[int, str] | None = None,
) -> Axes:
    """The dynamic axes of arguments: those that are longer in the larger example.

    Args:
        small: The arguments.
        large: Those of the larger example; None where there is none.
        names: The names of axes by what they grow by.
        of_caches: The same for tensors of caches.
    """
    if large is None:
        return {}
    axes: Axes = {}
    for name, value in small.items():
        growth = (of_caches or names) if is_cache(value) else names
        shapes, larger = (
            {".".join(path): t.shape for path, t in named_tensors({name: v}).items()}
            for v in (value, large.get(name))
        )
        axes |= growing_axes(shapes, larger, growth)
    return axes


def decoder_part(role: PartRole, call: PastStep, names: Mapping[tuple[str, ...], str]) -> ModelPart:
    """A part that calls the model itself; its inputs have the names that the decoder has for them.

    Args:
        role: What the part does.
        call: The arguments of the model.
        names: The names of the decoder's parameters, by the paths of tensors in the arguments.
    """
    inputs: Values = {}
    axes = dict(call.axes)
    builders: dict[str, Callable[[Values], Any]] = {}
    arguments, constants = split_constants(call.inputs)
    for own, value in arguments.items():
        tensors = take_apart(value, (own,))
        renamed = [names[path] for path, _ in tensors.named if path in names]
        if not renamed or len(renamed) < len(tensors.named) or is_cache(value):
            inputs[own] = value
            builders[own] = _taken(own)
            continue
        for name, (path, tensor) in zip(renamed, tensors.named, strict=True):
            inputs[name] = tensor
            if (dynamic := axes.pop(".".join(path), None)) is not None:
                axes[name] = dynamic
        builders[own] = _rebuilt(tensors, renamed)

    def forward(original: Forward, values: Values) -> Any:
        built = {own: build(values) for own, build in builders.items()}
        return original(**copy.deepcopy(constants), **built)  # an empty cache fills

    return ModelPart(role, inputs, axes, forward)


def split_constants(arguments: Mapping[str, Any]) -> tuple[Values, Values]:
    """The arguments that hold tensors; and those that hold none, flags and empty caches."""
    inputs = {n: value for n, value in arguments.items() if named_tensors({n: value})}
    return inputs, {n: value for n, value in arguments.items() if n not in inputs}


def _taken(name: str) -> Callable[[Values], Any]:
    """What takes one input as it is."""
    return lambda values: values[name]


def _rebuilt(tensors: Tensors, names: Sequence[str]) -> Callable[[Values], Any]:
    """What builds an argument of the inputs that hold its tensors."""
    return lambda values: tensors.rebuild(iter([values[name] for name in names]))
