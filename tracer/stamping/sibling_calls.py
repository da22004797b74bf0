"""What siblings do in an eager run: every operator call, with where its arguments come from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.support.gc_pause import gc_paused
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.eager.model_run import ModelRun, observe_run
from modelexport.tracer.sources.caches import is_cache
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.siblings import siblings

Origin = tuple[object, ...]
"""Where a tensor comes from, as seen by a call: `("state", path)` of a parameter or buffer of the
module, `("input", k)` of the k-th leaf of its arguments, `("op", j, k)` of the k-th output of its
j-th operator call, `("model input", k, shape, dtype)` of the k-th input of the model that it reads
and does not get as an argument (from a cache, for example), or `("outside", id)`."""

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
    _names_of_inputs: Mapping[int, str] = field(default_factory=dict)
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
            return ("outside", id(tensor))
        number = len(self.model_inputs)
        self.model_inputs.append(name)
        origin = ("model input", number, tuple(tensor.shape), tensor.dtype)
        self._origins[id(tensor)] = origin
        return origin

    def returns(self, tensor: torch.Tensor, name: str) -> None:
        """Note that what it computed is an output of the model."""
        origin = self.origin(tensor)
        if origin in self.model_outputs:
            self.readers.add(None)  # one value for two outputs
        self.model_outputs[origin] = name


class OpInSiblings(NamedTuple):
    """An operator call of a run.

    Attributes:
        operator: What was called.
        shapes: The shapes of its results.
        siblings: The siblings in whose calls it happened.
    """

    operator: Any
    shapes: tuple[torch.Size, ...]
    siblings: tuple[str, ...]


@dataclass(frozen=True)
class SiblingRun:
    """What siblings did in a run of a model.

    Attributes:
        groups: The paths of the siblings, by group.
        calls: Their calls, in the order in which they began.
        outputs: The outputs of the model by name.
        ops: All operator calls of the run.
    """

    groups: Sequence[Sequence[str]]
    calls: Sequence[SiblingCall]
    outputs: Mapping[str, torch.Tensor]
    ops: Sequence[OpInSiblings]


class _SiblingObserver:
    """Reports the operator calls of a run to the calls of siblings that make them.

    Args:
        call: The call of the model.
    """

    def __init__(self, call: ModelCall) -> None:
        self._names_of_inputs = {id(tensor): name for name, tensor in call.tensors.items()}
        self.calls: list[SiblingCall] = []
        self.ops: list[OpInSiblings] = []
        self._running: list[SiblingCall] = []
        self._makers: dict[int, tuple[torch.Tensor, tuple[SiblingCall, ...]]] = {}

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        running = tuple(self._running)
        shapes = tuple(tensor.shape for tensor in call.outputs)
        self.ops.append(OpInSiblings(call.operator, shapes, tuple(c.path for c in running)))
        self.read(call.inputs)
        for sibling in running:
            sibling.add(call)
        for tensor in call.outputs:  # kept alive: a new one could get the id of one that is gone
            self._makers[id(tensor)] = (tensor, running)

    def read(self, tensors: Sequence[torch.Tensor]) -> None:
        """Note who reads what the calls computed that have ended."""
        for tensor in tensors:
            _, makers = self._makers.get(id(tensor), (None, ()))
            for maker in makers:
                if maker not in self._running:
                    siblings = (c for c in self._running if c.group == maker.group)
                    maker.readers.add(next(siblings, None))

    def finish(self, outputs: Mapping[str, torch.Tensor]) -> None:
        """Note which outputs of the model the calls computed.

        Args:
            outputs: The outputs by name.
        """
        for name, tensor in outputs.items():
            _, makers = self._makers.get(id(tensor), (None, ()))
            for maker in makers:
                maker.returns(tensor, name)

    def enter(
        self, path: str, group: int, module: nn.Module, args: Any, kwargs: Mapping[str, Any]
    ) -> None:
        """A call begins."""
        leaves, spec = flattened((args, dict(kwargs)))
        call = SiblingCall(path, group, leaves, spec, _names_of_inputs=self._names_of_inputs)
        call.begin(module)
        self.calls.append(call)
        self._running.append(call)

    def leave(self, result: object) -> None:
        """The innermost call ends."""
        self._running.pop().end(result)

    @contextmanager
    def watching(self, model: nn.Module, groups: Sequence[Sequence[str]]) -> Iterator[None]:
        """Hear of the calls of some modules, by group of siblings while the body runs."""
        with ExitStack() as stack:
            for number, group in enumerate(groups):
                for path in group:
                    module = model.get_submodule(path)
                    enter = partial(_enter, self, path, number)
                    before = module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
                    after = module.register_forward_hook(partial(_leave, self))
                    stack.callback(before.remove)
                    stack.callback(after.remove)
            yield


def observe_siblings(
    model: nn.Module, call: ModelCall, groups: Sequence[Sequence[str]] | None = None
) -> tuple[ModelRun, SiblingRun | None]:
    """Run a model once, and observe the calls of siblings beside everything else.

    Args:
        model: The model.
        call: How to call it.
        groups: The paths of the siblings, by group; by default, they are looked for.

    Returns:
        The run; and what the siblings did in it, None where there are none.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    groups = siblings(model) if groups is None else groups
    if not groups:
        return observe_run(model, call), None
    observer = _SiblingObserver(call)
    with gc_paused(), observer.watching(model, groups):
        run = observe_run(model, call, observer.observe)
    observer.finish(run.outputs)
    return run, SiblingRun(groups, observer.calls, run.outputs, observer.ops)


def _enter(
    observer: _SiblingObserver, path: str, group: int, module: nn.Module, args: Any, kwargs: Any
) -> None:
    observer.enter(path, group, module, args, kwargs)


def _leave(observer: _SiblingObserver, *call: Any) -> None:
    observer.leave(call[-1])
