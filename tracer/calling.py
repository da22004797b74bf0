"""A model with one flat signature: named tensors in, named tensors out.

Exporters want positional tensors; models take keywords, tuples, dictionaries and give back
output objects. `flat_forward` puts a plain forward in front of the model's own for a while,
on the instance itself, so that no wrapper module appears in any scope or name.
"""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from hierarchy.errors import InputsError

Inputs = torch.Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]


@dataclass
class Call:
    """How a model is called: the tensors by name, and how to put its arguments together.

    Attributes:
        tensors: Every tensor among the example inputs, by the name its ONNX input gets.
        outputs: Names of the output tensors, known after a call.
    """

    tensors: dict[str, torch.Tensor]
    _leaves: list[Any]
    _spec: pytree.TreeSpec
    outputs: list[str] = field(default_factory=list)

    def arguments(self, *tensors: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of the model, these tensors in place."""
        given = iter(tensors)
        leaves = [next(given) if isinstance(x, torch.Tensor) else x for x in self._leaves]
        return pytree.tree_unflatten(leaves, self._spec)  # type: ignore[no-any-return]

    def flatten_outputs(self, outputs: object) -> tuple[torch.Tensor, ...]:
        """The tensors of what the model gave back; their names go to `outputs`."""
        found = dict(_named_tensors(outputs, ""))
        if not found:
            raise InputsError("The model gives no tensor back, so there is nothing to export.")
        taken = set(self.tensors)
        self.outputs = [_free_name(name or "output", taken) for name in found]
        return tuple(found.values())


def plan_call(model: nn.Module, inputs: Inputs) -> Call:
    """Name the tensors of some example inputs by the parameters of the model's forward.

    Raises:
        InputsError: The inputs do not fit the signature, or hold no tensor.
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
    return Call(named, leaves, spec)


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
