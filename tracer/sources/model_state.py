"""Leaving a model as it was, whatever happens in between."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from modelexport.support.gc_pause import gc_paused


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode while the body runs, and restore its state afterwards."""
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
    with gc_paused():  # snapshots of thousands of modules are no garbage
        modules = [_snapshot(module) for module in model.modules()]
    parameters = [(p, p.requires_grad, p.data) for p in model.parameters()]
    buffers = [pair for buffer in model.buffers() for pair in _with_copy(buffer)]
    try:
        yield
    finally:
        for snapshot in modules:
            _restore(snapshot)
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


class _Snapshot(NamedTuple):
    """The attributes of a module.

    Attributes:
        state: The module's own dictionary.
        values: Its content.
        containers: The dictionaries and lists in it, each with its content; None for an empty one.
    """

    state: dict[str, Any]
    values: dict[str, Any]
    containers: list[tuple[Any, dict[Any, Any] | list[Any] | None]]


def _snapshot(module: nn.Module) -> _Snapshot:
    """The attributes of a module, with the content of those that may change.

    torch keeps parameters, buffers, children and hooks in dictionaries, most of which are empty; a
    forward may collect values in lists.
    """
    state = vars(module)
    containers = [value for value in state.values() if isinstance(value, (dict, list))]
    contents = [(value, _content(value) if value else None) for value in containers]
    return _Snapshot(state, dict(state), contents)


def _content(value: dict[Any, Any] | list[Any]) -> dict[Any, Any] | list[Any]:
    return dict(value) if isinstance(value, dict) else list(value)


def _restore(snapshot: _Snapshot) -> None:
    state, values, containers = snapshot
    if state.keys() != values.keys():
        for name in state.keys() - values.keys():
            del state[name]
    state.update(values)
    for value, content in containers:
        if value:
            value.clear()
        if content is not None and isinstance(value, dict):
            value.update(content)
        elif content is not None:
            value.extend(content)
