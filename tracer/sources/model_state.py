"""Leaving a model as it was, whatever happens in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode for the time of the body, and restore its state afterwards."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with restored_state(model):
        torch.backends.mha.set_fastpath_enabled(False)  # it skips modules; few exporters support it
        model.eval()
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def restored_state(model: nn.Module) -> Iterator[None]:
    """Restore the state of a model after the body, also when the body raises.

    This restores the attributes of each module, its children, hooks and an instance's own
    `forward` among them; of each parameter `requires_grad` and its data, and so its device and
    dtype; of each buffer the tensor and its values.
    """
    modules = [(vars(module), _snapshot(module)) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.data) for p in model.parameters()]
    buffers = [pair for buffer in model.buffers() for pair in _with_copy(buffer)]
    try:
        yield
    finally:
        for state, snapshot in modules:
            _restore(state, snapshot)
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


def _snapshot(module: nn.Module) -> dict[str, tuple[Any, Any]]:
    """The attributes of a module, each with the content that it has if that may change.

    torch keeps parameters, buffers, children and hooks in dictionaries; a forward may collect
    values in lists.
    """
    return {name: (value, _content(value)) for name, value in vars(module).items()}


def _content(value: object) -> dict[Any, Any] | list[Any] | None:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else None


def _restore(state: dict[str, Any], snapshot: dict[str, tuple[Any, Any]]) -> None:
    for name in state.keys() - snapshot.keys():
        del state[name]
    for name, (value, content) in snapshot.items():
        state[name] = value
        if isinstance(content, dict):
            value.clear()
            value.update(content)
        elif content is not None:
            value[:] = content
