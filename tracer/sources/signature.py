"""Calling a model with one flat signature: named tensors in, named tensors out.

Exporters need positional tensors. Models take keywords, tuples and dictionaries, and return
output objects. `flat_forward` replaces the forward of the model's instance for some time, so that
no wrapper module appears in any scope or name.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.errors import InputsError
from modelexport.support.unique_names import UniqueNames

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
DynamicAxes = bool | Mapping[str, Mapping[int, str]]
"""Whether all axes of the inputs are dynamic; or the names of the dynamic axes, by input."""

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments."""


@dataclass(frozen=True)
class ModelCall:
    """One way to call a model: its input tensors by name, and how to make arguments of them.

    Attributes:
        tensors: Every tensor among the example inputs, by the name of its ONNX input.
        axes: The dynamic axes of each input by position, with their names. An axis without a
            name (None) may become fixed if the model's code fixes it.
        requested_outputs: Names for the outputs; empty to name them as the model does.
        output_names: Names of the outputs. They are known after a run of the model.
    """

    tensors: Mapping[str, torch.Tensor]
    _leaves: Sequence[Any]
    _spec: pytree.TreeSpec
    axes: Mapping[str, Mapping[int, str | None]] = field(default_factory=dict)
    requested_outputs: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def arguments(self, values: Iterable[Any] | None = None) -> Arguments:
        """The arguments of the model.

        Args:
            values: What stands in place of each tensor; None for the tensors themselves.
        """
        remaining = iter(self.tensors.values() if values is None else values)
        leaves = [
            next(remaining) if isinstance(leaf, torch.Tensor) else leaf for leaf in self._leaves
        ]
        return pytree.tree_unflatten(leaves, self._spec)  # type: ignore[no-any-return]

    def with_tensor(self, name: str, tensor: torch.Tensor) -> "ModelCall":
        """The same call with another tensor for one input."""
        return replace(self, tensors={**self.tensors, name: tensor})

    def named_outputs(self, result: object) -> dict[str, torch.Tensor]:
        """The tensors that the model returned, by the names of the ONNX outputs.

        Raises:
            InputsError: There are no tensors, or the requested names do not fit.
        """
        tensors = dict(_named_tensors(result, ""))
        if not tensors:
            raise InputsError("The model returns no tensors, so there is nothing to export.")
        unique = UniqueNames(self.tensors)
        names = [unique.take(name or "output") for name in tensors]
        if self.requested_outputs:
            self._check_requested(names)
            names = list(self.requested_outputs)
        return dict(zip(names, tensors.values(), strict=True))

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
    args, kwargs = pytree.tree_map(_as_own_object, (args, kwargs))
    forward = type(model).__name__ + ".forward"
    try:
        bound = inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise InputsError(f"The example inputs do not fit {forward}: {error}.") from error
    leaves, spec = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise InputsError(f"The example inputs for {forward} hold no tensor.")
    names = {id(tensor): name for name, tensor in _named_tensors(_by_parameter(bound), "")}
    unique = UniqueNames()
    named = {unique.take(names.get(id(tensor), "input")): tensor for tensor in tensors}
    return ModelCall(named, leaves, spec, _dynamic_axes(named, dynamic), tuple(output_names))


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
            known = ", ".join(tensors)
            raise InputsError(f"dynamic_axes: there is no input {name}; the inputs are {known}.")
        for axis in axes:
            if not 0 <= axis < tensors[name].dim():
                raise InputsError(
                    f"dynamic_axes: input {name} has no axis {axis}; it has "
                    f"{tensors[name].dim()} axes, counted from 0."
                )
    return {name: dict(axes) for name, axes in dynamic.items()}


def _as_own_object(leaf: object) -> object:
    """A tensor as an object of its own: one tensor may be given for several inputs."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def _by_parameter(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by the names that a caller would use, those of `**kwargs` included."""
    arguments: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= value
        else:
            arguments[name] = value
    return arguments


@contextmanager
def flat_forward(model: nn.Module, call: ModelCall) -> Iterator[None]:
    """Give the model a forward that takes and returns flat tensors, for the time of the body."""
    original = model.forward
    had_own_forward = "forward" in vars(model)
    names = list(call.tensors)

    def forward(*tensors: torch.Tensor, **named: torch.Tensor) -> tuple[torch.Tensor, ...]:
        args, kwargs = call.arguments((*tensors, *(named[name] for name in names[len(tensors) :])))
        return tuple(call.named_outputs(original(*args, **kwargs)).values())

    forward.__signature__ = _flat_signature(names)  # type: ignore[attr-defined]
    model.forward = forward
    try:
        yield
    finally:
        if had_own_forward:
            model.forward = original
        else:
            del model.forward


def _flat_signature(names: Sequence[str]) -> inspect.Signature:
    """A signature with one parameter for each name, where all names can be parameters."""
    if not all(name.isidentifier() for name in names):
        return inspect.Signature([inspect.Parameter("tensors", inspect.Parameter.VAR_POSITIONAL)])
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


def _named_tensors(value: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor inside nested containers, named by the keys that lead to it (`cache_0_key`)."""
    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        items = list(zip(value._fields, value, strict=True))
    elif isinstance(value, tuple | list):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return
    for key, item in items:
        yield from _named_tensors(item, f"{name}_{key}" if name else _first_name(key))


def _first_name(key: str) -> str:
    return f"output_{key}" if key.isdigit() else key
