"""Leaving a model as it was, whatever happens in between."""

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
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode for the time of the body, and restore its state afterwards.

    This restores of each module its training flag, its hooks and an instance's own `forward`; of
    each parameter `requires_grad` and its data, and so its device and dtype; of each buffer the
    tensor and its values. It does so also when the body raises.
    """
    modules = [(module, _snapshot(module)) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.data) for p in model.parameters()]
    buffers = [pair for buffer in model.buffers() for pair in _with_copy(buffer)]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it skips modules; few exporters support it
    model.eval()
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, snapshot in modules:
            _restore(module, snapshot)
        for parameter, requires_grad, data in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
        for buffer, values in buffers:
            buffer.copy_(values)


def _with_copy(buffer: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The memory of a buffer, and a copy of it: bytes, where torch cannot copy the type.

    There is none of packed types. torch cannot copy these at all, so no operator writes to them.
    """
    values = buffer.detach()
    for as_bytes in (False, True):
        try:
            # torch crashes on a copy of a quantised tensor that was viewed as any type
            memory = values.view(torch.uint8) if as_bytes else values
            copy = memory.clone()
        except RuntimeError:  # torch has no operator for the type
            continue
        yield memory, copy
        return


def _snapshot(module: nn.Module) -> dict[str, Any]:
    """The state of a module that `_restore` needs."""
    state = vars(module)
    names = (*_HOOKS, "_buffers", "_parameters")  # compiled scripts keep theirs elsewhere
    copies = {name: state[name].copy() for name in names if isinstance(state.get(name), dict)}
    return copies | {"training": module.training, "forward": state.get("forward")}


def _restore(module: nn.Module, snapshot: dict[str, Any]) -> None:
    state = vars(module)
    module.training = snapshot["training"]
    for name, content in snapshot.items():
        if isinstance(content, dict):
            state[name].clear()
            state[name].update(content)
    if snapshot["forward"] is not None:
        state["forward"] = snapshot["forward"]
    else:
        state.pop("forward", None)
