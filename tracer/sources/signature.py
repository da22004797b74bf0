"""A model with one flat signature: named tensors in, named tensors out.

Exporters want positional tensors; models take keywords, tuples, dictionaries and give back
output objects. `flat_forward` puts a plain forward in front of the model's own for a while,
on the instance itself, so that no wrapper module appears in any scope or name.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.errors import InputsError

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]
Dynamic = bool | Mapping[str, Mapping[int, str]]
"""Whether all axes of the inputs are dynamic; or the names of those that are, by input."""


@dataclass
class Call:
    """How a model is called: the tensors by name, and how to put its arguments together.

    Attributes:
        tensors: Every tensor among the example inputs, by the name its ONNX input gets.
        outputs: Names of the output tensors, known after a call.
        output_names: What the outputs are to be called; empty to name them as the model does.
        axes: The dynamic axes of each input, by position; `None` in place of a name for one
            that need not be dynamic if the model's code fixes it.
    """

    tensors: dict[str, torch.Tensor]
    _leaves: list[Any]
    _spec: pytree.TreeSpec
    outputs: list[str] = field(default_factory=list)
    output_names: tuple[str, ...] = ()
    axes: dict[str, dict[int, str | None]] = field(default_factory=dict)

    def arguments(self, *tensors: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the model, these tensors in place."""
        return self.arranged(tensors)

    def arranged(self, values: Iterable[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Values in the places of the tensors among the model's arguments."""
        given = iter(values)
        leaves = [next(given) if isinstance(x, torch.Tensor) else x for x in self._leaves]
        return pytree.tree_unflatten(leaves, self._spec)  # type: ignore[no-any-return]

    def flatten_outputs(self, outputs: object) -> tuple[torch.Tensor, ...]:
        """The tensors of what the model gave back; their names go to `outputs`."""
        found = dict(_named_tensors(outputs, ""))
        if not found:
            raise InputsError("The model gives no tensor back, so there is nothing to export.")
        taken = set(self.tensors)
        self.outputs = [_free_name(name or "output", taken) for name in found]
        if self.output_names:
            self._rename()
        return tuple(found.values())

    def _rename(self) -> None:
        """Call the outputs as was asked."""
        if len(self.output_names) != len(self.outputs):
            raise InputsError(
                f"{len(self.output_names)} output names are given, but the model gives "
                f"{len(self.outputs)} tensors back: {', '.join(self.outputs)}."
            )
        if clash := sorted(set(self.output_names) & set(self.tensors)):
            raise InputsError(f"No output can be called {clash[0]}: an input is called so.")
        self.outputs = list(self.output_names)


def plan_call(
    model: nn.Module, inputs: Inputs, *, dynamic: Dynamic = False, output_names: Sequence[str] = ()
) -> Call:
    """Name the tensors of some example inputs by the parameters of the model's forward.

    Args:
        model: The model.
        inputs: What it is to be called with.
        dynamic: Which axes of the inputs are dynamic.
        output_names: What the outputs are to be called.

    Raises:
        InputsError: The inputs do not fit the signature, or hold no tensor, or lack an axis
            that is to be dynamic.
    """
    if isinstance(inputs, torch.Tensor):
        args: tuple[Any, ...] = (inputs,)
        kwargs: dict[str, Any] = {}
    elif isinstance(inputs, Mapping):
        args, kwargs = (), dict(inputs)
    else:
        args, kwargs = tuple(inputs), {}
    args, kwargs = pytree.tree_map(_distinct, (args, kwargs))
    forward = type(model).__name__ + ".forward"
    try:
        signature = inspect.signature(model.forward)
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise InputsError(f"The example inputs do not fit {forward}: {error}.") from error
    leaves, spec = pytree.tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if not tensors:
        raise InputsError(f"The example inputs for {forward} hold no tensor.")
    names = {id(tensor): name for name, tensor in _named_tensors(_by_name(bound), "")}
    taken: set[str] = set()
    named = {_free_name(names.get(id(tensor), "input"), taken): tensor for tensor in tensors}
    return Call(named, leaves, spec, [], tuple(output_names), _axes(named, dynamic))


def _axes(
    tensors: Mapping[str, torch.Tensor], dynamic: Dynamic
) -> dict[str, dict[int, str | None]]:
    """The dynamic axes of each input."""
    if isinstance(dynamic, bool):
        every = tensors.items() if dynamic else ()
        return {name: dict.fromkeys(range(tensor.dim())) for name, tensor in every}
    for name, axes in dynamic.items():
        if name not in tensors:
            known = ", ".join(tensors)
            raise InputsError(f"dynamic_axes: there is no input {name}; there are {known}.")
        for axis in axes:
            if not 0 <= axis < tensors[name].dim():
                raise InputsError(
                    f"dynamic_axes: input {name} has no axis {axis}; it has "
                    f"{tensors[name].dim()}, counted from 0."
                )
    return {name: dict(axes) for name, axes in dynamic.items()}


def _distinct(leaf: object) -> object:
    """The same tensor as an object of its own: one may be given for several inputs."""
    return leaf.detach() if isinstance(leaf, torch.Tensor) else leaf


def _by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by the names that a caller would use, those of `**kwargs` included."""
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named |= value
        else:
            named[name] = value
    return named


@contextmanager
def flat_forward(model: nn.Module, call: Call) -> Iterator[None]:
    """Give the model a forward that takes and returns flat tensors, for the time being."""
    original = model.forward
    had = "forward" in vars(model)

    def forward(*tensors: torch.Tensor, **named: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ordered = (*tensors, *(named[name] for name in list(call.tensors)[len(tensors) :]))
        args, kwargs = call.arguments(*ordered)
        return call.flatten_outputs(original(*args, **kwargs))

    forward.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in call.tensors
            if name.isidentifier()
        ]
        if all(name.isidentifier() for name in call.tensors)
        else [inspect.Parameter("tensors", inspect.Parameter.VAR_POSITIONAL)]
    )
    model.forward = forward
    try:
        yield
    finally:
        if had:
            model.forward = original
        else:
            del model.forward


def _named_tensors(value: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor inside nested containers, named by the way to it (`cache_0_key`)."""
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
        yield from _named_tensors(item, f"{name}_{key}" if name else _word(key))


def _word(key: str) -> str:
    return f"output_{key}" if key.isdigit() else key


def _free_name(name: str, taken: set[str]) -> str:
    found, count = name, 1
    while found in taken:
        found = f"{name}_{count}"
        count += 1
    taken.add(found)
    return found
