"""Inputs whose numbers stay in the table that they are looked up in."""

from collections.abc import Iterator

import torch

from modelexport.tracer.sources.generated.missing import innermost_values
from modelexport.tracer.sources.generated.tensors import Values, floating, resized, whole

_FEW = 8
"""Numbers that any table has, where no frame of the traceback shows the table."""

_NOT_FOUND = ("index out of range", "not in the valid range", "out of bounds for dimension")


def in_range(error: BaseException, message: str, values: Values) -> Iterator[Values]:
    """Inputs with numbers that fit the table that the model looks them up in.

    The function that failed shows the table and the numbers that it got: `torch.nn.Embedding` has
    as many of them as it has rows.

    Args:
        error: What the model raised.
        message: The same, in one line.
        values: The inputs that it got.
    """
    if not any(text in message for text in _NOT_FOUND):
        return
    numbers, size = _looked_up(error)
    if numbers is not None and int(numbers.min()) < 0:
        floats = floating(values)
        yield from ({**values, name: tensor.abs()} for name, tensor in floats.items())
    limit = size or _FEW
    for name, tensor in whole(values).items():
        if tensor.dtype is not torch.bool and tensor.numel() and int(tensor.max()) >= limit:
            yield {**values, name: tensor % limit}
    if size is not None and numbers is not None and numbers.dim() and numbers.shape[-1] > size:
        yield from _shorter(values, numbers.shape[-1], size)
    if size is not None and size > _FEW:
        for name, tensor in whole(values).items():
            if tensor.dtype is not torch.bool and tensor.numel() and int(tensor.max()) >= _FEW:
                yield {**values, name: tensor % _FEW}


def _looked_up(error: BaseException) -> tuple[torch.Tensor | None, int | None]:
    """The numbers that an embedding got, and the number of its rows; None where it was none."""
    frame = innermost_values(error)
    numbers, table = frame.get("input"), frame.get("weight")
    if not isinstance(numbers, torch.Tensor) or not isinstance(table, torch.Tensor):
        return None, None
    if numbers.is_floating_point() or table.dim() != 2 or not numbers.numel():
        return None, None
    return numbers, len(table)


def _shorter(values: Values, length: int, size: int) -> Iterator[Values]:
    """Rows that have a position for each of their tokens."""
    tensors = {**whole(values), **floating(values)}
    changed = {
        name: resized(name, tensor, axis, size)
        for name, tensor in tensors.items()
        for axis in range(1, tensor.dim())
        if tensor.shape[axis] == length
    }
    if changed:
        yield {**values, **changed}
