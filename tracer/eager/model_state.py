"""Leaving a model as it was found, whatever happens in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_HOOKS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode, and put everything back afterwards.

    Restores for each module its training flag, its hooks and an instance's own `forward`; for
    each parameter `requires_grad`, its data and with them device and dtype; for each buffer the
    tensor and what it held. Also when the body raises.
    """
    modules = [(module, _snapshot(module)) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.data) for p in model.parameters()]
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it skips modules, and few exporters know it
    model.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, found in modules:
            _restore(module, found)
        for parameter, requires_grad, data in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
        for buffer, held in buffers:
            buffer.detach().copy_(held)


def _snapshot(module: nn.Module) -> dict[str, Any]:
    held = vars(module)
    names = (*_HOOKS, "_buffers", "_parameters")  # compiled scripts keep their own elsewhere
    found: dict[str, Any] = {n: held[n].copy() for n in names if isinstance(held.get(n), dict)}
    return found | {"training": module.training, "forward": held.get("forward")}


def _restore(module: nn.Module, found: dict[str, Any]) -> None:
    held = vars(module)
    module.training = found["training"]
    for name, content in found.items():
        if isinstance(content, dict):
            held[name].clear()
            held[name].update(content)
    if found["forward"] is not None:
        held["forward"] = found["forward"]
    else:
        held.pop("forward", None)
