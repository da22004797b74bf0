"""What siblings do in an eager run: every operator call, with where its arguments come from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.support.gc_pause import gc_paused
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.eager.model_run import ModelRun, observe_run
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.siblings import siblings

Origin = tuple[object, ...]
"""Where a tensor comes from, as seen by a call: `("state", path)` of a parameter or buffer of the
module, `("input", k)` of the k-th leaf of its arguments, `("op", j, k)` of the k-th output of its
j-th operator call, or `("outside", id)`."""

_PLAIN_LEAVES = (type(None), bool, int, float, str)


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
    _origins: dict[int, Origin] = field(default_factory=dict)

    def begin(self, module: nn.Module) -> None:
        """Note the tensors that the call starts with."""
        for named in (module.named_parameters, module.named_buffers):
            for name, tensor in named():
                self.constants["state", name] = tensor
                self._origins[id(tensor)] = ("state", name)
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
        return self._origins.get(id(tensor), ("outside", id(tensor)))


@dataclass(frozen=True)
class SiblingRun:
    """What siblings did in a run of a model.

    Attributes:
        calls: Their calls, in the order in which they began.
        outputs: The outputs of the model by name.
    """

    calls: Sequence[SiblingCall]
    outputs: Mapping[str, torch.Tensor]


class _SiblingObserver:
    """Reports the operator calls of a run to the calls of siblings that make them."""

    def __init__(self) -> None:
        self.calls: list[SiblingCall] = []
        self._running: list[SiblingCall] = []
        self._makers: dict[int, tuple[torch.Tensor, tuple[SiblingCall, ...]]] = {}

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        running = tuple(self._running)
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

    def enter(
        self, path: str, group: int, module: nn.Module, args: Any, kwargs: Mapping[str, Any]
    ) -> None:
        """A call begins."""
        call = SiblingCall(path, group, *pytree.tree_flatten((args, dict(kwargs))))
        call.begin(module)
        self.calls.append(call)
        self._running.append(call)

    def leave(self, result: object) -> None:
        """The innermost call ends."""
        self._running.pop().end(result)

    @contextmanager
    def watching(self, model: nn.Module, groups: Sequence[Sequence[str]]) -> Iterator[None]:
        """Hear of the calls of some modules, by group of siblings, for the time of the body."""
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


def observe_siblings(model: nn.Module, call: ModelCall) -> tuple[ModelRun, SiblingRun | None]:
    """Run a model once, and observe the calls of siblings beside everything else.

    Args:
        model: The model.
        call: How to call it.

    Returns:
        The run; and what the siblings did in it, None where there are none. Without weights nobody
        looks for them: nothing that is made of equal layers could be verified.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    groups = siblings(model) if call.mode is None else []
    if not groups:
        return observe_run(model, call), None
    observer = _SiblingObserver()
    with gc_paused(), observer.watching(model, groups):
        run = observe_run(model, call, observer.observe)
    observer.read([*run.outputs.values()])
    return run, SiblingRun(observer.calls, run.outputs)


def _enter(
    observer: _SiblingObserver, path: str, group: int, module: nn.Module, args: Any, kwargs: Any
) -> None:
    observer.enter(path, group, module, args, kwargs)


def _leave(observer: _SiblingObserver, *call: Any) -> None:
    observer.leave(call[-1])
