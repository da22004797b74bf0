"""Running a model eagerly and seeing which module does what."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from hierarchy.errors import InputsError
from hierarchy.fingerprint import Array
from tracer.calling import Call
from tracer.exporters.exported import Scope


@dataclass
class Watch:
    """What was seen in a run.

    Attributes:
        calls: How often each module was called, by its first path.
        order: Place of each module's first call among all first calls.
        stack: The modules that are running now, outermost first.
    """

    calls: Counter[str] = field(default_factory=Counter)
    order: dict[str, int] = field(default_factory=dict)
    stack: list[Scope] = field(default_factory=list)


@contextmanager
def watched(model: nn.Module) -> Iterator[Watch]:
    """Watch every module that Python runs; modules inside compiled scripts run unseen."""
    watch = Watch()

    def enter(path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if torch.compiler.is_compiling():
                return  # inside a higher-order operator, which compiles what it runs
            watch.stack.append(Scope(path, watch.calls[path]))
            watch.order.setdefault(path, len(watch.order))
            watch.calls[path] += 1

        return hook

    def leave(*_: Any) -> None:
        if not torch.compiler.is_compiling():
            watch.stack.pop()

    with ExitStack() as stack:
        for path, module in visible_modules(model):
            stack.callback(module.register_forward_pre_hook(enter(path)).remove)
            stack.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield watch


def visible_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules that hooks can watch, each once, under its first path: not those of scripts."""
    for path, module in model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):
            yield path, module


def run(model: nn.Module, call: Call) -> None:
    """Run a model on the call's own tensors.

    Raises:
        InputsError: The model refused the inputs; the message is its own first line.
    """
    args, kwargs = call.arguments(*call.tensors.values())
    try:
        with torch.no_grad():
            outputs = model(*args, **kwargs)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputsError(
            f"The model cannot run on these inputs ({type(error).__name__}: {first})."
        ) from error
    call.flatten_outputs(outputs)


class Outputs(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every tensor that an operator gives back to `see`, with the module it ran in.

    The third argument says whether the operator computed it, or only gave another view of
    its input.
    """

    supports_higher_order_operators = True

    def __init__(self, watch: Watch, see: Callable[[torch.Tensor, Scope, bool], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch
        self._see = see

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        if self._watch.stack:
            computed = not passes_through(func)
            for leaf in pytree.tree_leaves(results):
                if isinstance(leaf, torch.Tensor):
                    self._see(leaf, self._watch.stack[-1], computed)
        return results


def passes_through(func: Any) -> bool:
    """Whether an operator only gives another view of its input, as its schema says."""
    if not hasattr(func, "_schema"):
        return False  # a higher-order operator gives back what its functions computed
    returned = func._schema.returns
    return any(r.alias_info is not None and not r.alias_info.is_write for r in returned)


def numpy_of(tensor: torch.Tensor) -> Array:
    """The numbers of a tensor; of types that numpy lacks, in single precision."""
    dense = tensor.detach().cpu()
    return (dense.float() if dense.dtype is torch.bfloat16 else dense).numpy()
