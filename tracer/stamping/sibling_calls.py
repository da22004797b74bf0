"""What siblings do in an eager run: every operator call, with where its arguments come from."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.sources.signature import ModelCall

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
        ops: What it did: operator, arguments and the shapes of the results, one entry each.
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

    def add(
        self, operator: object, spec: object, leaves: Sequence[Any], results: list[Any]
    ) -> None:
        """Note an operator call.

        Args:
            operator: The operator.
            spec: How its arguments hold the leaves.
            leaves: The leaves of its arguments.
            results: The tensors that it returned.
        """
        arguments = tuple(
            self.origin(leaf) if isinstance(leaf, torch.Tensor) else (type(leaf), repr(leaf))
            for leaf in leaves
        )
        shapes = tuple((tuple(r.shape), r.dtype) for r in results)
        origins = [a for a, leaf in zip(arguments, leaves, strict=True) if torch.is_tensor(leaf)]
        is_constant = bool(origins) and all(origin in self.constants for origin in origins)
        for index, result in enumerate(results):
            origin: Origin = ("op", len(self.ops), index)
            self._origins[id(result)] = origin
            if is_constant:
                self.constants[origin] = result
        self.ops.append((operator, spec, arguments, shapes))

    def origin(self, tensor: torch.Tensor) -> Origin:
        """Where a tensor comes from, as this call sees it."""
        return self._origins.get(id(tensor), ("outside", id(tensor)))


class _SiblingObserver(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Reports the operator calls of a run to the calls of siblings that make them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[SiblingCall] = []
        self._running: list[SiblingCall] = []
        self._makers: dict[int, tuple[torch.Tensor, tuple[SiblingCall, ...]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        leaves, spec = pytree.tree_flatten((args, kwargs or {}))
        tensors = [t for t in pytree.tree_leaves(results) if isinstance(t, torch.Tensor)]
        self.read(leaves)
        running = tuple(self._running)
        for call in running:
            call.add(func, spec, leaves, tensors)
        for tensor in tensors:  # kept alive: a new tensor could get the id of one that is gone
            self._makers[id(tensor)] = (tensor, running)
        return results

    def read(self, leaves: Sequence[Any]) -> None:
        """Note who reads what the calls computed that have ended."""
        for leaf in leaves:
            _, makers = self._makers.get(id(leaf), (None, ()))
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


def observe_siblings(
    model: nn.Module, call: ModelCall, groups: Sequence[Sequence[str]]
) -> tuple[list[SiblingCall], dict[str, torch.Tensor]]:
    """Run a model once, and observe the calls of some modules.

    Args:
        model: The model.
        call: How to call it.
        groups: Paths of the modules, by group of siblings.

    Returns:
        The calls, in the order in which they began; and the outputs of the model by name.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    observer = _SiblingObserver()
    with ExitStack() as stack:
        for number, group in enumerate(groups):
            for path in group:
                module = model.get_submodule(path)
                enter = partial(_enter, observer, path, number)
                before = module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
                after = module.register_forward_hook(partial(_leave, observer))
                stack.callback(before.remove)
                stack.callback(after.remove)
        with observer:
            outputs = run_model(model, call)
    observer.read(list(outputs.values()))
    return observer.calls, outputs


def _enter(
    observer: _SiblingObserver, path: str, group: int, module: nn.Module, args: Any, kwargs: Any
) -> None:
    observer.enter(path, group, module, args, kwargs)


def _leave(observer: _SiblingObserver, *call: Any) -> None:
    observer.leave(call[-1])
