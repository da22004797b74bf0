"""What a model computes when it runs eagerly: every operator, its values and its module.

No exporter is involved, and no code of the tracer: the truth must not share its mistakes. Hooks
show which module is running. A dispatch mode sees each aten operator below autograd. Composite
operators run a second time as their decomposition, because exporters decompose them too: a layer
normalisation becomes a mean, a difference, a square.
"""

import hashlib
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fixtures_gen.registry import Inputs, inputs_as_call

Sorted = npt.NDArray[np.float64]
"""The elements of a value, sorted."""


@dataclass(frozen=True)
class Step:
    """One operator call that made a value which none of its inputs has.

    Attributes:
        modules: Where it ran: one path, or, inside a compiled script, which hooks cannot see,
            every path in that script.
        inputs: Classes of its inputs.
        output: Class of its output.
    """

    modules: frozenset[str]
    inputs: frozenset[int]
    output: int


@dataclass
class Eager:
    """A run. Values with the same elements, in whatever order or shape, are one class.

    Attributes:
        classes: The sorted elements of each class.
        sizes: Classes by number of elements.
        made_by: The steps that made each class; none for weights and inputs.
        inputs: The classes of the model's inputs.
        weights: The classes of the parameters and buffers that it has before it runs.
    """

    classes: list[Sorted] = field(default_factory=list)
    sizes: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    made_by: dict[int, list[Step]] = field(default_factory=lambda: defaultdict(list))
    inputs: set[int] = field(default_factory=set)
    weights: set[int] = field(default_factory=set)
    _numbers: dict[tuple[int, bytes], list[int]] = field(default_factory=lambda: defaultdict(list))
    _corners: dict[int, Sorted] = field(default_factory=dict)

    def classify(self, tensor: torch.Tensor) -> int | None:
        """The class of a tensor, a new one if needed; None for what has no real numbers."""
        if tensor.is_complex() or not tensor.numel():
            return None
        elements = in_order(_as_array(tensor))
        key = elements.size, corners(elements).tobytes()
        for number in self._numbers[key]:
            if np.array_equal(
                self.classes[number], elements, equal_nan=bool(np.isnan(elements[-1]))
            ):
                return number
        self._numbers[key].append(len(self.classes))
        self.sizes[elements.size].append(len(self.classes))
        self.classes.append(elements)
        return len(self.classes) - 1

    def corners_of(self, size: int) -> Sorted:
        """The corners of each class of a size, one row each."""
        classes = self.sizes.get(size, [])
        rows = self._corners.get(size)
        if rows is None or len(rows) != len(classes):
            rows = self._corners[size] = np.array([corners(self.classes[c]) for c in classes])
        return rows


def corners(elements: Sorted) -> Sorted:
    """The minimum, the quartiles and the maximum of sorted elements."""
    last = elements.size - 1
    return elements[[0, last // 4, last // 2, 3 * last // 4, last]]


def digest(elements: Sorted) -> bytes:
    """What arrays of the same sorted elements have in common."""
    return hashlib.sha1(elements.data, usedforsecurity=False).digest()


def _as_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The elements of a tensor. numpy has no bfloat16, whose numbers float32 has exactly."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()


def in_order(array: npt.NDArray[Any]) -> Sorted:
    """The elements of an array, sorted; negative zeros become zeros."""
    ordered: Sorted = np.sort(array, axis=None).astype(np.float64)
    ordered += 0.0
    return ordered


def run_eagerly(model: nn.Module, inputs: Inputs) -> Eager:
    """Run a model on its inputs, and keep everything that it computes."""
    eager = Eager()
    args, kwargs = inputs_as_call(inputs)
    tensors = [
        leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)
    ]
    eager.inputs = {c for c in map(eager.classify, tensors) if c is not None}
    weights = [*model.parameters(), *model.buffers()]
    eager.weights = {c for c in map(eager.classify, weights) if c is not None}
    # outside of an export, torch's higher-order operators compile themselves, hooks included
    without_compiling = mock.patch("torch.compile", _uncompiled)
    with (
        torch.no_grad(),
        without_compiling,
        _deep_calls(model),
        _running(model) as stack,
        _Recorder(eager, stack),
    ):
        model(*args, **kwargs)
    return eager


@contextmanager
def _deep_calls(model: nn.Module) -> Iterator[None]:
    """Let Python call as deeply as the modules are nested."""
    depth = max(path.count(".") for path, _ in model.named_modules())
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 20 * depth)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _uncompiled(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    return function


@contextmanager
def _running(model: nn.Module) -> Iterator[list[frozenset[str]]]:
    """The modules that are running, outermost first, each as the paths it may stand for.

    What hooks of the model do is done in the module that they are hooked to.
    """
    stack: list[frozenset[str]] = []
    scripts: set[str] = set()
    with ExitStack() as hooks:
        for path, module in model.named_modules():
            if _is_inside(path, scripts):
                continue  # no hook runs there
            inside: list[str] = []
            if isinstance(module, torch.jit.ScriptModule):
                scripts.add(path)
                names = (name for name, _ in module.named_modules() if name)
                inside = [f"{path}.{name}" if path else name for name in names]

            def enter(*_: Any, modules: frozenset[str] = frozenset([path, *inside])) -> None:
                stack.append(modules)

            def leave(*_: Any) -> None:
                stack.pop()

            hooks.callback(module.register_forward_pre_hook(enter, prepend=True).remove)
            hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        _follow_new_modules(model, stack, hooks)
        yield stack


def _follow_new_modules(model: nn.Module, stack: list[frozenset[str]], hooks: ExitStack) -> None:
    """Also show the modules that a forward puts into the model while it runs."""
    known = {id(module) for module in model.modules()}

    def paths(module: nn.Module) -> frozenset[str]:
        return frozenset(path for path, other in model.named_modules() if other is module)

    def enter(module: nn.Module, *_: Any) -> None:
        if id(module) not in known:
            stack.append(paths(module) or stack[-1])

    def leave(module: nn.Module, *_: Any) -> None:
        if id(module) not in known:
            stack.pop()

    # a compiled module warns that such hooks see it, too; it is known, so they leave it alone
    hooks.enter_context(warnings.catch_warnings())
    warnings.filterwarnings("ignore", ".*global hooks on modules", UserWarning)
    hooks.callback(register_module_forward_pre_hook(enter).remove)
    hooks.callback(register_module_forward_hook(leave, always_call=True).remove)


def _is_inside(path: str, outer: set[str]) -> bool:
    """Whether a module is below one of some other modules, all given by their paths."""
    while outer and path:
        path = path.rpartition(".")[0]
        if path in outer:
            return True
    return False


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each operator call, and those of its decomposition.

    Args:
        eager: Gets the steps.
        stack: The modules that are running.
    """

    supports_higher_order_operators = True

    def __init__(self, eager: Eager, stack: list[frozenset[str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._eager = eager
        self._stack = stack
        self._decompositions = _decompositions()
        self._decomposing: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.HigherOrderOperator):  # noqa: SLF001 - no public name
            return func(*pytree.tree_map(self._recorded, args), **kwargs)
        inputs = self._classes((args, kwargs))
        mutates = func._schema.is_mutable  # noqa: SLF001 - no public name
        if not mutates and func in self._decompositions and func not in self._decomposing:
            self._decomposing.append(func)
            with self:
                self._decompositions[func](*args, **kwargs)
            self._decomposing.pop()
        results = func(*args, **kwargs)
        if self._stack:
            for output in self._classes(results) - inputs:
                step = Step(self._stack[-1], inputs, output)
                self._eager.made_by[output].append(step)
        return results

    def _recorded(self, argument: Any) -> Any:
        """A function whose operator calls are recorded; any other argument as it is."""
        if isinstance(argument, torch.Tensor) or not callable(argument):
            return argument

        def function(*args: Any) -> Any:
            with self:
                return argument(*args)

        return function

    def _classes(self, values: Any) -> frozenset[int]:
        tensors = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]
        return frozenset(c for c in map(self._eager.classify, tensors) if c is not None)


def _decompositions() -> dict[Any, Callable[..., Any]]:
    aten = torch.ops.aten
    fused = [aten.addmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu]  # noqa: SLF001 - an operator's name
    return {**core_aten_decompositions(), **get_decompositions(fused)}
