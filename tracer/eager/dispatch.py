"""Observing every operator call below autograd while a model runs eagerly."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch._compile import _disable_dynamo
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from modelexport.tracer.eager.module_tracker import ModuleTracker
from modelexport.tracer.exporters.exported import Scope

_CONTROL_FLOW = {"cond", "while_loop", "scan"}
"""Higher-order operators that exporters write as operators with subgraphs."""


_OWN_LIBRARIES = {"aten", "prim", "prims"}
"""torch's libraries of operators that exporters translate."""


_PLAIN_TYPES = {type(None), bool, int, float, str, torch.dtype, torch.device, torch.layout}
"""Types of arguments that are no tensors and hold none."""


@dataclass(frozen=True)
class OperatorCall:
    """One call of an operator.

    Attributes:
        operator: The operator, as torch's dispatcher knows it.
        inputs: The tensors among its arguments.
        outputs: The tensors that it returned.
        arguments: Its positional and keyword arguments.
        mutated: The tensors among its arguments that it wrote to.
        scope: The module that was running; None outside of all modules.
        part_outputs: The outputs of its decomposition, whose calls were observed before this one.
            They have the values of `outputs`. None when it was not decomposed.
        was_entered: Whether the calls inside it were observed before this one.
        depth: Number of higher-order operators inside which it ran.
    """

    operator: Any
    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    mutated: list[torch.Tensor]
    scope: Scope | None
    part_outputs: list[torch.Tensor] | None = None
    was_entered: bool = False
    depth: int = 0

    @property
    def computes(self) -> bool:
        """Whether it computed its outputs itself, and did not just pass values on."""
        return not self.was_entered and _computes(self.operator)

    @property
    def custom_name(self) -> str | None:
        """`library::name` of an operator that exporters do not know by themselves; else None."""
        namespace = getattr(self.operator, "namespace", "")
        if isinstance(self.operator, torch._ops.HigherOrderOperator) or namespace in _OWN_LIBRARIES:
            return None
        return str(self.operator._schema.name)


Observer = Callable[[OperatorCall], None]
"""Called after each operator call."""


class OperatorObserver(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every operator that is called below autograd, and reports the call to the observers.

    Args:
        tracker: Knows which module is running.
        observers: Each is called after each operator call.
        decompositions: Operators to run a second time, as their decomposition, each with its
            decomposition.
        enter_control_flow: Whether to observe the operator calls inside the functions of a branch
            or loop. The function of the branch that was not chosen runs, too.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        tracker: ModuleTracker,
        *observers: Observer,
        decompositions: Mapping[Any, Callable[..., Any]] | None = None,
        enter_control_flow: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._tracker = tracker
        self._observers = observers
        self._decompositions = decompositions or {}
        self._enter_control_flow = enter_control_flow
        self._decomposing: list[Any] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether torch wraps `__torch_dispatch__`, so that torch.compile leaves it alone.

        The wrapper loads the code of torch.compile, which takes a second even without compiling.
        """
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_compiling_possible = "torch._dynamo" in sys.modules
        run = _run_uncompiled if is_compiling_possible else OperatorObserver._run
        return run(self, func, args, kwargs or {})

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator, and report the call."""
        part_outputs = self._run_decomposed(func, args, kwargs)
        is_higher_order = isinstance(func, torch._ops.HigherOrderOperator)
        enter = is_higher_order and self._enter_control_flow and func.__name__ in _CONTROL_FLOW
        if is_higher_order:
            results = self._run_higher_order(func, args, kwargs, enter=enter)
        else:
            results = func(*args, **kwargs)
        outputs = _tensors(results)
        if part_outputs is not None and not _copy_values(part_outputs, outputs):
            part_outputs = None
        call = OperatorCall(
            operator=func,
            inputs=_tensors((args, kwargs)),
            outputs=outputs,
            arguments=(args, kwargs),
            mutated=_mutated(func, args, kwargs),
            scope=self._tracker.current,
            part_outputs=part_outputs,
            was_entered=enter,
            depth=self._tracker.operator_depth,
        )
        for observe in self._observers:
            observe(call)
        return results

    def _run_higher_order(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, enter: bool
    ) -> Any:
        """Run a higher-order operator, and observe what its functions do where that is wanted."""
        with self._tracker.inside_operator():
            if not enter:
                return func(*args, **kwargs)
            if func is torch.ops.higher_order.cond:
                self._run_other_branch(*args)
            return func(*pytree.tree_map(self._observed, args), **kwargs)

    def _run_other_branch(
        self, predicate: Any, then_branch: Any, else_branch: Any, operands: Any
    ) -> None:
        """Run the branch that a condition did not choose."""
        other = else_branch if predicate else then_branch
        # it may fail on inputs that do not choose it; then it stays unknown
        with self._tracker.uncounted(), suppress(Exception):
            self._observed(other)(*operands)

    def _observed(self, argument: Any) -> Any:
        """A function whose operator calls are observed; any other argument as it is."""
        if isinstance(argument, torch.Tensor) or not callable(argument):
            return argument

        def function(*operands: Any) -> Any:
            with self:
                return argument(*operands)

        return function

    def _run_decomposed(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[torch.Tensor] | None:
        """Run an operator's decomposition, and observe its calls.

        Returns:
            Its outputs; None where there is no decomposition, or it fails.
        """
        if func not in self._decompositions or func in self._decomposing:
            return None
        if func._schema.is_mutable or not _computes(func):
            return None
        self._decomposing.append(func)
        try:
            with self:
                return _tensors(self._decompositions[func](*args, **kwargs))
        except Exception:  # noqa: BLE001 - some of torch's decompositions fail; the operator runs
            return None
        finally:
            self._decomposing.pop()


_run_uncompiled = _disable_dynamo(OperatorObserver._run, recursive=True)


@cache  # reading a schema takes longer than many operators
def _computes(func: Any) -> bool:
    """Whether an operator computes its outputs, rather than returning views of its inputs."""
    if not hasattr(func, "_schema"):
        return True  # a higher-order operator returns what its functions computed
    returned = func._schema.returns
    return all(r.alias_info is None or r.alias_info.is_write for r in returned)


def _copy_values(sources: list[torch.Tensor], targets: list[torch.Tensor]) -> bool:
    """Copy the values of some tensors to others; False when they do not fit.

    So an operator returns exactly what its decomposition computed, to the last digit.
    """
    if [(t.shape, t.dtype) for t in targets] != [(t.shape, t.dtype) for t in sources]:
        return False
    if any(torch._debug_has_internal_overlap(tensor) for tensor in targets):
        return False  # an expanded tensor cannot be written to
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
    return True


def _tensors(values: Any) -> list[torch.Tensor]:
    """The tensors in a value and its containers. The usual ones need no search in torch's list."""
    if isinstance(values, torch.Tensor):
        return [values]
    if type(values) in _PLAIN_TYPES:
        return []
    if type(values) in {tuple, list}:
        return [tensor for item in values for tensor in _tensors(item)]
    if type(values) is dict:
        return [tensor for item in values.values() for tensor in _tensors(item)]
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _mutated(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors to which an operator writes, according to its schema."""
    if not hasattr(func, "_schema") or not func._schema.is_mutable:
        return []
    parameters = func._schema.arguments
    arguments = dict(zip((p.name for p in parameters), args, strict=False)) | kwargs
    written = [p.name for p in parameters if p.alias_info and p.alias_info.is_write]
    return _tensors([arguments.get(name) for name in written])
