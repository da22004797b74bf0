"""What every call of a module reads and returns while a model runs.

The values are copied when a call begins and when it ends: a later operator may write to them.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import ModuleValues
from modelexport.tracer.eager.arrays import real_numbers
from modelexport.tracer.eager.module_tracker import hookable_modules
from modelexport.tracer.sources.containers import take_apart


class ModuleValueCollector:
    """Collects the values of the calls of modules.

    Attributes:
        calls: The calls that have returned, in this order.
    """

    def __init__(self) -> None:
        self.calls: list[ModuleValues] = []
        self._counts: Counter[str] = Counter()
        self._running: list[tuple[int, list[torch.Tensor], list[Array]]] = []
        self._returned_by: dict[int, list[int]] = {}
        self._kept: list[torch.Tensor] = []  # so that no other tensor gets the same identity
        self._copies: dict[tuple[int, int], Array | None] = {}

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Collect what runs in the body; modules inside compiled scripts run unseen."""
        handles = []
        try:
            for path, module in hookable_modules(model):
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                enter, leave = partial(self._enter, path), partial(self._leave, path)
                handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
                handles.append(module.register_forward_hook(leave))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, path: str, _: nn.Module, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():  # a higher-order operator compiles what it runs
            return
        call = self._counts[path]
        self._counts[path] += 1
        tensors, arrays = self._arrays((args, kwargs))
        self._running.append((call, tensors, arrays))

    def _leave(self, path: str, _: nn.Module, __: Any, result: Any) -> None:
        if torch.compiler.is_compiling():
            return
        call, read, inputs = self._running.pop()
        sources = tuple(tuple(self._returned_by.get(id(tensor), ())) for tensor in read)
        tensors, outputs = self._arrays(result)
        for tensor in tensors:
            self._returned_by.setdefault(id(tensor), []).append(len(self.calls))
        self.calls.append(ModuleValues(path, call, tuple(inputs), tuple(outputs), sources))

    def _arrays(self, value: Any) -> tuple[list[torch.Tensor], list[Array]]:
        """The tensors in a value that numpy can hold, and a copy of the numbers of each."""
        try:
            tensors = [tensor for _, tensor in take_apart(value).named]
        except InputsError:  # an object that cannot be taken apart is not a value of the graph
            return [], []
        pairs = [(tensor, self._copy(tensor)) for tensor in tensors]
        readable = [(tensor, array) for tensor, array in pairs if array is not None]
        return [tensor for tensor, _ in readable], [array for _, array in readable]

    def _copy(self, tensor: torch.Tensor) -> Array | None:
        """The numbers of a tensor as they are now; one copy of each state of a tensor."""
        key = id(tensor), tensor._version
        if key not in self._copies:
            self._kept.append(tensor)
            array = real_numbers(tensor)
            self._copies[key] = None if array is None else array.copy()
        return self._copies[key]
