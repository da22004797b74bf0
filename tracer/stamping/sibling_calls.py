"""What siblings do in an eager run: every operator call, with where its arguments come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.sources.caches import is_cache
from modelexport.tracer.sources.weightless import has_values

Origin = tuple[object, ...]
"""Where a tensor comes from, as seen by a call: `("state", path)` of a parameter or buffer of the
module, `("input", k)` of the k-th leaf of its arguments, `("op", j, k)` of the k-th output of its
j-th operator call, `("model input", k, shape, dtype)` of the k-th input of the model that it reads
and does not get as an argument (from a cache, for example), `("constant", dtype, shape, bytes)` of
a small tensor that no operator made, or `("outside", id)`."""

MAX_CONSTANT_ELEMENTS = 1024
"""Maximum number of elements of a tensor that is told by its values."""

_PLAIN_LEAVES = (type(None), bool, int, float, str)


def flattened(arguments: Any) -> tuple[list[Any], Any]:
    """The leaves of arguments, and how these hold them.

    A cache is one leaf: it holds what other layers computed, too. Exporters register the classes of
    caches with torch, which would take them apart from then on.
    """
    return pytree.tree_flatten(arguments, is_leaf=is_cache)


@dataclass(eq=False)
class SiblingCall:
    """One call of a module.

    Attributes:
        path: The module's path.
        group: Number of its group of siblings.
        inputs: The leaves of its arguments.
        input_spec: How the arguments hold these leaves.
        ops: What it did: operator, arguments and the shapes of the results of each.
        constants: The tensors of the module, and what it computed of these alone, by origin.
        outputs: The leaves of what it returned.
        output_origins: Where each of these comes from; None for what is no tensor.
        output_spec: How the result holds these leaves.
        readers: The calls of its siblings that read what it computed; None among them for others.
        input_names: For each leaf of its arguments, the input of the model that it is, or None.
        model_inputs: The inputs of the model that it reads and does not get as arguments.
        model_outputs: The outputs of the model that it computes, by origin.
        is_plain: Whether its result consists of tensors and plain values.
        read_elsewhere: The parameters and buffers of the module that something else reads, too.
    """

    path: str
    group: int
    inputs: list[Any]
    input_spec: Any
    ops: list[tuple[Any, ...]] = field(default_factory=list)
    constants: dict[Origin, torch.Tensor] = field(default_factory=dict)
    outputs: list[Any] = field(default_factory=list)
    output_origins: list[Origin | None] = field(default_factory=list)
    output_spec: Any = None
    readers: set["SiblingCall | None"] = field(default_factory=set)
    is_plain: bool = True
    input_names: list[str | None] = field(default_factory=list)
    model_inputs: list[str] = field(default_factory=list)
    model_outputs: dict[Origin, str] = field(default_factory=dict)
    read_elsewhere: list[Origin] = field(default_factory=list)
    _names_of_inputs: Mapping[int, str] = field(default_factory=dict)
    _not_made: Mapping[int, torch.Tensor] = field(default_factory=dict)
    _origins: dict[int, Origin] = field(default_factory=dict)

    def begin(self, module: nn.Module) -> None:
        """Note the tensors that the call starts with."""
        for named in (module.named_parameters, module.named_buffers):
            for name, tensor in named():
                self.constants["state", name] = tensor
                self._origins[id(tensor)] = ("state", name)
        self.input_names = [self._names_of_inputs.get(id(leaf)) for leaf in self.inputs]
        for index, leaf in enumerate(self.inputs):
            if isinstance(leaf, torch.Tensor):
                self._origins.setdefault(id(leaf), ("input", index))

    def end(self, result: object) -> None:
        """Note what the call returned."""
        self.outputs, self.output_spec = pytree.tree_flatten(result)
        for leaf in self.outputs:
            is_tensor = isinstance(leaf, torch.Tensor)
            self.is_plain &= is_tensor or isinstance(leaf, _PLAIN_LEAVES)
            self.output_origins.append(self.origin(leaf) if is_tensor else None)

    def add(self, call: OperatorCall) -> None:
        """Note an operator call."""
        arguments = self._described(call.arguments)
        shapes = tuple((tuple(tensor.shape), tensor.dtype) for tensor in call.outputs)
        is_constant = bool(call.inputs) and all(
            self.origin(tensor) in self.constants for tensor in call.inputs
        )
        for index, result in enumerate(call.outputs):
            origin: Origin = ("op", len(self.ops), index)
            self._origins[id(result)] = origin
            if is_constant:
                self.constants[origin] = result
        self.ops.append((call.operator, arguments, shapes))

    def _described(self, value: Any) -> tuple[Any, ...]:
        """What a value is as this call sees it: equal for two calls that do the same with it."""
        if isinstance(value, torch.Tensor):
            return self.origin(value)
        if type(value) in {tuple, list}:
            return (type(value), *map(self._described, value))
        if type(value) in _PLAIN_LEAVES:
            return type(value), repr(value)
        leaves, spec = pytree.tree_flatten(value)
        if spec.is_leaf():
            return type(value), repr(value)
        return (spec, *map(self._described, leaves))

    def origin(self, tensor: torch.Tensor) -> Origin:
        """Where a tensor comes from, as this call sees it."""
        origin = self._origins.get(id(tensor))
        if origin is not None:
            return origin
        name = self._names_of_inputs.get(id(tensor))
        if name is None:
            return self._constant(tensor) or ("outside", id(tensor))
        number = len(self.model_inputs)
        self.model_inputs.append(name)
        origin = ("model input", number, tuple(tensor.shape), tensor.dtype)
        self._origins[id(tensor)] = origin
        return origin

    def _constant(self, tensor: torch.Tensor) -> Origin | None:
        """The values of a small tensor that no operator made; None of any other tensor."""
        if id(tensor) not in self._not_made or tensor.numel() > MAX_CONSTANT_ELEMENTS:
            return None
        array = to_numpy(tensor.detach()) if has_values(tensor) else None
        if array is None:
            return None
        origin = ("constant", tensor.dtype, tuple(tensor.shape), array.tobytes())
        self.constants[origin] = tensor
        self._origins[id(tensor)] = origin
        return origin

    def returns(self, tensor: torch.Tensor, name: str) -> None:
        """Note that what it computed is an output of the model."""
        origin = self.origin(tensor)
        if origin in self.model_outputs:
            self.readers.add(None)  # one value for two outputs
        self.model_outputs[origin] = name
