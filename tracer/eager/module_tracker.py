"""Which module runs, and how often each module was called, while a model runs in Python."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from modelexport.tracer.exporters.exported import Scope


class ModuleTracker:
    """Counts the calls of modules. Each module has its first path.

    Attributes:
        calls: Number of calls of each module.
        order: Position of each module's first call among the first calls of all modules.
        calls_in_operators: The calls of each module that a higher-order operator made.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.order: dict[str, int] = {}
        self.calls_in_operators: dict[str, set[int]] = {}
        self._running: list[Scope] = []
        self._operator_depth = 0

    @property
    def current(self) -> Scope | None:
        """The innermost call that runs now; None outside of all modules."""
        return self._running[-1] if self._running else None

    @property
    def operator_depth(self) -> int:
        """Number of higher-order operators inside which the model runs now."""
        return self._operator_depth

    def enter(self, path: str) -> None:
        """A call of a module begins."""
        call = self.calls[path]
        self._running.append(Scope(path, call))
        if self._operator_depth:
            self.calls_in_operators.setdefault(path, set()).add(call)
        self.order.setdefault(path, len(self.order))
        self.calls[path] += 1

    def leave(self) -> None:
        """The innermost call ends."""
        self._running.pop()

    @contextmanager
    def inside_operator(self) -> Iterator[None]:
        """Mark the calls in the body as made by a higher-order operator."""
        self._operator_depth += 1
        try:
            yield
        finally:
            self._operator_depth -= 1

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Do not count the calls in the body: the model itself does not make them."""
        counts = self.calls.copy()
        try:
            yield
        finally:
            self.calls.clear()
            self.calls.update(counts)


@contextmanager
def track_modules(model: nn.Module) -> Iterator[ModuleTracker]:
    """Track every module that Python runs. Modules inside compiled scripts run unseen.

    A module runs from before its first hook until after its last one.
    """
    tracker = ModuleTracker()

    def entering(path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if not torch.compiler.is_compiling():  # a higher-order operator compiles what it runs
                tracker.enter(path)

        return hook

    def leaving(*_: Any) -> None:
        if not torch.compiler.is_compiling():
            tracker.leave()

    handles = []
    try:
        for path, module in hookable_modules(model):
            on_enter, on_leave = _hooks_of(module)
            handles += [on_enter(entering(path)), on_leave(leaving)]
        yield tracker
    finally:
        for handle in handles:
            handle.remove()


def _hooks_of(module: nn.Module) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two functions: one registers a module's first hook, the other one its last hook.

    Scripts take no hooks, but torch calls the hooks of all modules for them too.
    """
    if not isinstance(module, torch.jit.ScriptModule):
        on_enter = partial(module.register_forward_pre_hook, prepend=True)
        return on_enter, partial(module.register_forward_hook, always_call=True)

    def only_here(hook: Callable[..., None]) -> Callable[..., None]:
        return lambda called, *rest: hook(called, *rest) if called is module else None

    return (
        lambda hook: register_module_forward_pre_hook(only_here(hook)),
        lambda hook: register_module_forward_hook(only_here(hook), always_call=True),
    )


def hookable_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module that Python calls, once, with its first path: not those inside of scripts."""
    scripts: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if path.startswith(scripts):
            continue
        if isinstance(module, torch.jit.ScriptModule):
            scripts = (*scripts, f"{path}." if path else "")
        yield path, module
