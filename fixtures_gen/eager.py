"""What a model computes when it runs eagerly: every operator, its values and its module.

Nothing here asks an exporter. Hooks say which module is running; a dispatch mode sees each
aten operator below autograd. Composite operators are run a second time taken apart, because
exporters take them apart, too: a layer norm becomes a mean, a difference, a square.
"""

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
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from fixtures_gen.registry import Inputs, inputs_as_call

Sorted = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One operator call that made a value which none of its inputs holds.

    Attributes:
        modules: Where it ran: one path, or, inside a compiled script, which hooks cannot look
            into, every path in that script.
        inputs: Classes of its inputs.
        output: Class of its output.
    """

    modules: frozenset[str]
    inputs: frozenset[int]
    output: int


@dataclass
class Eager:
    """A run. Values that hold the same numbers, in whatever order or shape, are one class.

    Attributes:
        classes: The sorted numbers of each class.
        sizes: Classes by number of elements.
        made_by: The steps that made each class; none for weights and inputs.
    """

    classes: list[Sorted] = field(default_factory=list)
    sizes: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    made_by: dict[int, list[Step]] = field(default_factory=lambda: defaultdict(list))
    _known: dict[bytes, int] = field(default_factory=dict)
    _corners: dict[int, Sorted] = field(default_factory=dict)

    def classify(self, tensor: torch.Tensor) -> int | None:
        """The class of a tensor, a new one if need be; None for what holds no real numbers."""
        if tensor.is_complex() or not tensor.numel():
            return None
        numbers = in_order(tensor.detach().double().numpy())
        key = numbers.tobytes()
        if key not in self._known:
            self._known[key] = len(self.classes)
            self.sizes[numbers.size].append(len(self.classes))
            self.classes.append(numbers)
        return self._known[key]

    def corners_of(self, size: int) -> Sorted:
        """The corners of each class of a size, a row each: cheap to look through first."""
        classes = self.sizes.get(size, [])
        found = self._corners.get(size)
        if found is None or len(found) != len(classes):
            found = self._corners[size] = np.array([corners(self.classes[c]) for c in classes])
        return found


def corners(numbers: Sorted) -> Sorted:
    """Least, middle and greatest of some sorted numbers, and what is between."""
    last = numbers.size - 1
    return numbers[[0, last // 4, last // 2, 3 * last // 4, last]]


def in_order(array: npt.NDArray[Any]) -> Sorted:
    """The numbers of an array, sorted; negative zeros are zeros."""
    ordered: Sorted = np.sort(array.astype(np.float64).reshape(-1) + 0.0)
    return ordered


def run_eagerly(model: nn.Module, inputs: Inputs) -> Eager:
    """Run a model on its inputs and keep all that it computes."""
    eager = Eager()
    args, kwargs = inputs_as_call(inputs)
    # Outside of an export, torch's higher-order operators compile themselves, hooks and all.
    plainly = mock.patch("torch.compile", _uncompiled)
    with torch.no_grad(), plainly, _running(model) as stack, _Listening(eager, stack):
        model(*args, **kwargs)
    return eager


def _uncompiled(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    return function


@contextmanager
def _running(model: nn.Module) -> Iterator[list[frozenset[str]]]:
    """The modules that are running, outermost first, each as the paths it may stand for."""
    stack: list[frozenset[str]] = []
    paths = [path for path, _ in model.named_modules()]
    with ExitStack() as hooks:
        for path, module in model.named_modules():
            scripted = isinstance(module, torch.jit.ScriptModule)
            inside = [p for p in paths if scripted and p.startswith(f"{path}.")]

            def enter(*_: Any, here: frozenset[str] = frozenset([path, *inside])) -> None:
                stack.append(here)

            def leave(*_: Any) -> None:
                stack.pop()

            if not _within_script(model, path):
                hooks.callback(module.register_forward_pre_hook(enter).remove)
                hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield stack


def _within_script(model: nn.Module, path: str) -> bool:
    """Whether a module stands inside a compiled script, where no hook runs."""
    while path:
        path = path.rpartition(".")[0]
        if isinstance(model.get_submodule(path), torch.jit.ScriptModule):
            return True
    return False


class _Listening(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes each operator down, then runs it again in its parts."""

    supports_higher_order_operators = True

    def __init__(self, eager: Eager, stack: list[frozenset[str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._eager = eager
        self._stack = stack
        self._parts = _decompositions()
        self._taken_apart: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, torch._ops.HigherOrderOperator):  # noqa: SLF001 - no public name
            return func(*pytree.tree_map(self._listening, args), **kwargs)
        before = self._classes((args, kwargs))
        mutates = func._schema.is_mutable  # noqa: SLF001 - no public name
        if not mutates and func in self._parts and func not in self._taken_apart:
            self._taken_apart.append(func)
            with self:
                self._parts[func](*args, **kwargs)
            self._taken_apart.pop()
        results = func(*args, **kwargs)
        if self._stack:
            for output in self._classes(results) - before:
                step = Step(self._stack[-1], before, output)
                self._eager.made_by[output].append(step)
        return results

    def _listening(self, argument: Any) -> Any:
        """A function that a higher-order operator calls, so that it is listened to."""
        if isinstance(argument, torch.Tensor) or not callable(argument):
            return argument

        def called(*args: Any) -> Any:
            with self:
                return argument(*args)

        return called

    def _classes(self, values: Any) -> frozenset[int]:
        tensors = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]
        found = map(self._eager.classify, tensors)
        return frozenset(c for c in found if c is not None)


def _decompositions() -> dict[Any, Callable[..., Any]]:
    aten = torch.ops.aten
    fused = [aten.addmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu]  # noqa: SLF001 - an operator's name
    return {**core_aten_decompositions(), **get_decompositions(fused)}
