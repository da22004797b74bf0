"""Running a model eagerly and seeing which module does what."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from modelexport.errors import InputsError
from modelexport.hierarchy.fingerprints import Array
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.sources.signature import Call

_CONTROL_FLOW = {"cond", "while_loop", "scan"}
"""Higher-order operators that exporters write as operators with subgraphs."""

_NUMPY_FLOATS = {torch.float16, torch.float32, torch.float64}


@dataclass
class Watch:
    """What was seen in a run.

    Attributes:
        calls: How often each module was called, by its first path.
        order: Place of each module's first call among all first calls.
        stack: The modules that are running now, outermost first.
        inside: The calls that higher-order operators made, by module.
        opened: How many higher-order operators are running now.
    """

    calls: Counter[str] = field(default_factory=Counter)
    order: dict[str, int] = field(default_factory=dict)
    stack: list[Scope] = field(default_factory=list)
    inside: dict[str, set[int]] = field(default_factory=dict)
    opened: int = 0


@contextmanager
def watched(model: nn.Module) -> Iterator[Watch]:
    """Watch every module that Python runs; modules inside compiled scripts run unseen."""
    watch = Watch()

    def enter(path: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            if torch.compiler.is_compiling():
                return  # inside a higher-order operator, which compiles what it runs
            watch.stack.append(Scope(path, watch.calls[path]))
            if watch.opened:
                watch.inside.setdefault(path, set()).add(watch.calls[path])
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


def run(model: nn.Module, call: Call) -> tuple[torch.Tensor, ...]:
    """Run a model on the call's own tensors, and give its output tensors.

    Raises:
        InputsError: The model refused the inputs; the message is its own first line.
    """
    args, kwargs = call.arguments(*call.tensors.values())
    try:
        with torch.no_grad(), _uncompiled():
            outputs = model(*args, **kwargs)
    except Exception as error:
        reason = first_line(error, with_type=True)
        raise InputsError(f"The model cannot run on these inputs ({reason}).") from error
    return call.flatten_outputs(outputs)


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Keep torch from compiling: it does so for every higher-order operator, and fails at some."""

    def compile_not(function: Any = None, **_: Any) -> Any:
        return function if function is not None else lambda decorated: decorated

    before, torch.compile = torch.compile, compile_not  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.compile = before


@dataclass(frozen=True)
class Heard:
    """One operator call.

    Attributes:
        operator: As torch's dispatcher knows it.
        given: The tensors among its arguments.
        made: The tensors that it gave back.
        written: Those of its arguments that it wrote into.
        scope: The module that was running; None outside of all.
        parts: What its parts gave back, when these were heard before it: the numbers of `made`.
        opened: Whether what happened inside it was heard before it.
    """

    operator: Any
    given: list[torch.Tensor]
    made: list[torch.Tensor]
    written: list[torch.Tensor]
    scope: Scope | None
    parts: list[torch.Tensor] | None = None
    opened: bool = False

    @property
    def computed(self) -> bool:
        """Whether it computed something, and did not just give on what was there."""
        return not self.opened and _computes(self.operator)


class Listening(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hears every operator call below autograd, and hands it on.

    Args:
        watch: Knows which module is running.
        tell: Who wants to know of each call, after it.
        apart: Operators to run a second time in their parts, and how.
        inside: Whether to hear what the functions do that a branch or a loop is given; of a
            branch, also the function that was not chosen.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        watch: Watch,
        *tell: Callable[[Heard], None],
        apart: Mapping[Any, Callable[..., Any]] | None = None,
        inside: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inside = inside
        self._watch = watch
        self._tell = tell
        self._apart = apart or {}
        self._within: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        parts = self._in_parts(func, args, kwargs)
        if isinstance(func, torch._ops.HigherOrderOperator):
            opened = self._inside and func.__name__ in _CONTROL_FLOW
            results = self._open(func, args, kwargs, hear=opened)
        else:
            results, opened = func(*args, **kwargs), False
        scope = self._watch.stack[-1] if self._watch.stack else None
        given, made = _tensors((args, kwargs)), _tensors(results)
        if parts is not None and not _replace(made, parts):
            parts = None
        heard = Heard(func, given, made, _written(func, args, kwargs), scope, parts, opened)
        for tell in self._tell:
            tell(heard)
        return results

    def _open(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, hear: bool) -> Any:
        """Run a higher-order operator, and hear what its functions do if that is wanted."""
        self._watch.opened += 1
        try:
            if not hear:
                return func(*args, **kwargs)
            if func is torch.ops.higher_order.cond:
                self._run_other_branch(*args)
            return func(*pytree.tree_map(self._heard, args), **kwargs)
        finally:
            self._watch.opened -= 1

    def _run_other_branch(self, predicate: Any, yes: Any, no: Any, operands: Any) -> None:
        calls = self._watch.calls.copy()
        with suppress(Exception):  # it need not work on inputs that do not choose it
            self._heard(no if predicate else yes)(*operands)
        self._watch.calls.clear()
        self._watch.calls.update(calls)  # the model itself does not make this call

    def _heard(self, argument: Any) -> Any:
        """A function that is heard while it runs; everything else as it is."""
        if isinstance(argument, torch.Tensor) or not callable(argument):
            return argument

        def function(*given: Any) -> Any:
            with self:
                return argument(*given)

        return function

    def _in_parts(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[torch.Tensor] | None:
        """What an operator gives back when its parts run, each heard; None where it has none."""
        if func not in self._apart or func in self._within:
            return None
        if func._schema.is_mutable or not _computes(func):
            return None
        self._within.append(func)
        try:
            with self:
                return _tensors(self._apart[func](*args, **kwargs))
        except Exception:  # noqa: BLE001 - the operator itself will run; not all torch's recipes do
            return None
        finally:
            self._within.pop()


def _computes(func: Any) -> bool:
    if not hasattr(func, "_schema"):
        return True  # a higher-order operator gives back what its functions computed
    returned = func._schema.returns
    return all(r.alias_info is None or r.alias_info.is_write for r in returned)


def _replace(made: list[torch.Tensor], parts: list[torch.Tensor]) -> bool:
    """Put what the parts made in place of what an operator made, to the last digits."""
    if [(t.shape, t.dtype) for t in made] != [(t.shape, t.dtype) for t in parts]:
        return False
    if any(torch._debug_has_internal_overlap(tensor) for tensor in made):
        return False  # an expanded tensor cannot be written to
    for tensor, part in zip(made, parts, strict=True):
        tensor.copy_(part)
    return True


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors into which an operator writes, as its schema says."""
    if not hasattr(func, "_schema") or not func._schema.is_mutable:
        return []
    given = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    write = [a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write]
    return _tensors([given.get(name) for name in write])


def numpy_of(tensor: torch.Tensor) -> Array:
    """The numbers of a tensor; of types that numpy lacks, in single precision."""
    dense = tensor.detach().cpu()
    narrow = dense.is_floating_point() and dense.dtype not in _NUMPY_FLOATS
    return (dense.float() if narrow else dense).numpy()
