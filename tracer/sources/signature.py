"""Calling a model with one flat signature: named tensors in, named tensors out.

Exporters need positional tensors. Models take keywords, tuples and dictionaries, and return
output objects. `flat_forward` replaces the forward of the model's instance for some time, so that
no wrapper module appears in any scope or name.
"""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from keyword import iskeyword
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from modelexport.errors import InputsError
from modelexport.support.unique_names import UniqueNames
from modelexport.tracer.sources.containers import cache_keys, take_apart
from modelexport.tracer.sources.replaced_forward import replaced_forward

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
Axes = Mapping[str, Mapping[int, str | None]]
"""The dynamic axes of inputs by position, with their names; None for one without a name."""

DynamicAxes = bool | Mapping[str, Mapping[int, str]] | Axes
"""Whether all axes of the inputs are dynamic; or the names of the dynamic axes, by input."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


_PRESENT = "present"
"""How the names of outputs begin that are tensors of a cache."""


@dataclass(frozen=True)
class ModelCall:
    """One way to call a model: its input tensors by name, and how to make arguments of them.

    Attributes:
        tensors: Every tensor among the example inputs, by the name of its ONNX input.
        axes: The dynamic axes of each input by position, with their names. An axis without a
            name (None) may become fixed if the model's code fixes it.
        requested_outputs: Names for the outputs; empty to name them as the model does.
        output_names: Names of the outputs. They are known after a run of the model.
        left_out: Names of outputs that are not exported.
        mode: The mode under which the model runs; None for none. A model without weights runs on
            fake tensors.
    """

    tensors: Mapping[str, torch.Tensor]
    _rebuild: Callable[[Iterator[Any]], Arguments]
    axes: Axes = field(default_factory=dict)
    requested_outputs: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    left_out: frozenset[str] = frozenset()
    mode: TorchDispatchMode | None = None

    def arguments(self, values: Iterable[Any] | None = None) -> Arguments:
        """The arguments of the model.

        Args:
            values: What stands in place of each tensor; None for the tensors themselves.
        """
        return self._rebuild(iter(self.tensors.values() if values is None else values))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Give the tensors the values that they have now back after the body.

        A model may write to its inputs, a cache of fixed size for example. Those who observe the
        operators of the run do not see the copies.
        """
        with _disable_current_modes():
            before = [(tensor, tensor._version, tensor.clone()) for tensor in self.tensors.values()]
        try:
            yield
        finally:
            with torch.no_grad(), _disable_current_modes():
                for tensor, version, values in before:
                    if tensor._version != version:
                        tensor.copy_(values)

    def without_outputs(self, names: frozenset[str]) -> "ModelCall":
        """The same call, of which some outputs are not exported."""
        kept = tuple(name for name in self.output_names if name not in names)
        return replace(self, output_names=kept, left_out=names)

    def with_tensor(self, name: str, tensor: torch.Tensor) -> "ModelCall":
        """The same call with another tensor for one input."""
        return replace(self, tensors={**self.tensors, name: tensor})

    def named_outputs(self, result: object) -> dict[str, torch.Tensor]:
        """The tensors that the model returned, by the names of the ONNX outputs.

        Those that are not exported are left out.

        Raises:
            InputsError: There are no tensors, or the requested names do not fit.
        """
        outputs = output_tensors(result, self.tensors)
        if not outputs:
            raise InputsError("The model returns no tensors, so there is nothing to export.")
        if self.requested_outputs:
            self._check_requested(list(outputs))
            outputs = dict(zip(self.requested_outputs, outputs.values(), strict=True))
        return {name: tensor for name, tensor in outputs.items() if name not in self.left_out}

    def _check_requested(self, own_names: Sequence[str]) -> None:
        names = self.requested_outputs
        if len(names) != len(own_names):
            raise InputsError(
                f"{len(names)} output names are given, but the model returns {len(own_names)} "
                f"tensors: {', '.join(own_names)}."
            )
        if clash := sorted(set(names) & set(self.tensors)):
            raise InputsError(f"An output cannot have the name {clash[0]}: an input has it.")
        if len(set(names)) < len(names):
            raise InputsError("The names of the outputs must differ from each other.")


def bind_inputs(
    model: nn.Module,
    inputs: Inputs,
    *,
    dynamic: DynamicAxes = False,
    output_names: Sequence[str] = (),
) -> ModelCall:
    """Name the tensors of example inputs by the parameters of the model's forward.

    Args:
        model: The model.
        inputs: The inputs to call it with.
        dynamic: Which axes of the inputs are dynamic.
        output_names: Names for the outputs.

    Raises:
        InputsError: The inputs do not fit the signature, hold no tensor, or lack a dynamic axis.
    """
    if isinstance(inputs, torch.Tensor):
        args: tuple[Any, ...] = (inputs,)
        kwargs: dict[str, Any] = {}
    elif isinstance(inputs, Mapping):
        args, kwargs = (), dict(inputs)
    else:
        args, kwargs = tuple(inputs), {}
    forward = type(model).__name__ + ".forward"
    try:
        bound = inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise InputsError(
            f"The example inputs do not fit {forward}: {error}. Numbers and flags cannot be given "
            "with --input-shape: let a factory (FILE.py:FUNCTION) return the model and its inputs."
        ) from error
    names = _parameter_names(bound, args, kwargs)
    values = (*args, *kwargs.values())
    parts = [take_apart(*pair) for pair in zip(values, names, strict=True)]
    named = [pair for part in parts for pair in part.named]
    if not named:
        raise InputsError(f"The example inputs for {forward} hold no tensor.")
    states = (*model.named_parameters(), *model.named_buffers())
    unique = UniqueNames(name for name, _ in states if "." in name)  # of initializers
    # a tensor becomes an object of its own: one may be given for several inputs
    tensors = {unique.take(".".join(path)): tensor.detach() for path, tensor in named}

    def rebuild(values: Iterator[Any]) -> Arguments:
        arguments = [part.rebuild(values) for part in parts]
        return tuple(arguments[: len(args)]), dict(zip(kwargs, arguments[len(args) :], strict=True))

    return ModelCall(tensors, rebuild, _dynamic_axes(tensors, dynamic), tuple(output_names))


def _dynamic_axes(
    tensors: Mapping[str, torch.Tensor], dynamic: DynamicAxes
) -> dict[str, dict[int, str | None]]:
    """The dynamic axes of each input.

    Raises:
        InputsError: There is no such input or axis.
    """
    if isinstance(dynamic, bool):
        inputs = tensors.items() if dynamic else ()
        return {name: dict.fromkeys(range(tensor.dim())) for name, tensor in inputs}
    for name, axes in dynamic.items():
        if name not in tensors:
            names = ", ".join(tensors)
            raise InputsError(f"dynamic_axes: there is no input {name}; the inputs are {names}.")
        for axis in axes:
            if not 0 <= axis < tensors[name].dim():
                raise InputsError(
                    f"dynamic_axes: input {name} has no axis {axis}; it has "
                    f"{tensors[name].dim()} axes, counted from 0."
                )
    return {name: dict(axes) for name, axes in dynamic.items()}


def _parameter_names(
    bound: inspect.BoundArguments, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[tuple[str, ...]]:
    """For each argument the name that a caller would use: of `*args`, the name and the position."""
    names: list[tuple[str, ...]] = []
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            names += [(name, str(position)) for position in range(len(value))]
        elif len(names) < len(args):
            names.append((name,))
    return [*names[: len(args)], *((name,) for name in kwargs)]


@contextmanager
def flat_forward(model: nn.Module, call: ModelCall) -> Iterator[None]:
    """Give the model a forward that takes and returns flat tensors while the body runs."""
    original = model.forward
    unique = UniqueNames()
    names = [unique.take(_parameter_name(name)) for name in call.tensors]

    def forward(*tensors: torch.Tensor, **named: torch.Tensor) -> tuple[torch.Tensor, ...]:
        args, kwargs = call.arguments((*tensors, *(named[name] for name in names[len(tensors) :])))
        return tuple(call.named_outputs(original(*args, **kwargs)).values())

    forward.__signature__ = flat_signature(names)  # type: ignore[attr-defined]
    with replaced_forward(model, forward):
        yield


def _parameter_name(name: str) -> str:
    """The name of an input as Python accepts it for a parameter."""
    identifier = re.sub(r"\W", "_", name)
    return (
        identifier if identifier.isidentifier() and not iskeyword(identifier) else f"_{identifier}"
    )


def flat_signature(names: Sequence[str]) -> inspect.Signature:
    """A signature with one parameter for each name."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def output_tensors(result: object, taken: Iterable[str] = ()) -> dict[str, torch.Tensor]:
    """The tensors that a model returned, by the names of outputs.

    Args:
        result: What the model returned.
        taken: Names that no output may have.
    """
    unique = UniqueNames(taken)
    caches = cache_keys(result)
    named = take_apart(result).named
    return {unique.take(_output_name(path, caches)): tensor for path, tensor in named}


def _output_name(path: Sequence[str], caches: Collection[str]) -> str:
    """The name of an output: the path to it, which begins with `output` where it is a position.

    The tensors of a cache are `present`, as what was read of it is past.
    """
    if not path:
        return "output"
    first, *rest = path
    if first in caches:
        return ".".join((_PRESENT, *rest))
    return ".".join((f"output_{first}" if first.isdigit() else first, *rest))
