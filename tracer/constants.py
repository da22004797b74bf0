"""What a model computes from no input: positions, rotary tables, masks of a fixed shape.

Exporters fold such values away, each in its own way, so the plain file may not show where they
come from, while another file of the model still computes them. The eager run knows.
"""

from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from hierarchy.fingerprint import value_fingerprint
from hierarchy.record import Constant
from tracer.watching import Watch, numpy_of, passes_through

_FEWEST_ELEMENTS = 8
_FEWEST_DISTINCT = 3
_LARGEST = 1 << 22
"""Elements; what is larger is a weight in another form, and no exporter computes it anew."""


class Constants(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Listens to a run and keeps what depends on no input.

    Args:
        model: The model that runs.
        watch: Knows which module is running.
    """

    supports_higher_order_operators = True

    def __init__(self, model: nn.Module, watch: Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watch = watch
        held = (*model.parameters(), *model.buffers())
        self._independent = {id(tensor): tensor for tensor in held}
        self._found: dict[Constant, None] = {}

    def found(self) -> tuple[Constant, ...]:
        """The constants, each once for every module that computes it."""
        return tuple(self._found)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if _is_tensor(leaf)]
        independent = all(id(tensor) in self._independent for tensor in given)
        for tensor in filter(_is_tensor, pytree.tree_leaves(results)):
            if not independent:
                self._independent.pop(id(tensor), None)  # written to
                continue
            known = id(tensor) in self._independent
            self._independent[id(tensor)] = tensor
            written = known and _writes(func)
            if (written or (not known and not passes_through(func))) and self._watch.stack:
                self._keep(tensor)
        return results

    def _keep(self, tensor: torch.Tensor) -> None:
        if not _FEWEST_ELEMENTS <= tensor.numel() <= _LARGEST or tensor.is_complex():
            return
        known = value_fingerprint(numpy_of(tensor))
        if known is None or len(set(known.statistics().tolist())) < _FEWEST_DISTINCT:
            return
        self._found[Constant(self._watch.stack[-1].module, known)] = None


def _writes(func: Any) -> bool:
    return hasattr(func, "_schema") and bool(func._schema.is_mutable)


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor)
