"""The operators of scripts in Python: those on lists, dictionaries, texts and numbers.

Operators on tensors are torch's own (`torch.ops`). A script's other operators have no entry point
for values of any type, but each is what Python does.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

Function = Callable[..., Any]


def _slice(values: Any, start: int | None, end: int | None, step: int) -> Any:
    return values[start:end:step]


def _range_length(start: int, end: int, step: int) -> int:
    return len(range(start, end, step))


def _derive_index(index: int, start: int, step: int) -> int:
    return start + index * step


def _contains(values: Any, value: Any) -> bool:
    return value in values


def _format(text: str, *values: object) -> str:
    """What torch does: each `{}` becomes a value. Python's own would read attributes of values."""
    first, *rest = text.split("{}", len(values))
    return first + "".join(f"{value}{part}" for value, part in zip(values, rest, strict=False))


def _percent_format(text: str, *values: object) -> str:
    return text % values


ON_VALUES: Mapping[str, Function] = {
    "__and__": operator.and_,
    "__contains__": _contains,
    "__derive_index": _derive_index,
    "__getitem__": operator.getitem,
    "__is__": operator.is_,
    "__isnot__": operator.is_not,
    "__not__": operator.not_,
    "__or__": operator.or_,
    "__range_length": _range_length,
    "__xor__": operator.xor,
    "_set_item": operator.setitem,
    "add": operator.add,
    "append": list.append,
    "clear": lambda values: values.clear(),
    "copy": lambda values: values.copy(),
    "div": operator.truediv,
    "eq": operator.eq,
    "extend": list.extend,
    "floordiv": operator.floordiv,
    "format": _format,
    "ge": operator.ge,
    "gt": operator.gt,
    "index": list.index,
    "insert": list.insert,
    "items": lambda values: list(values.items()),
    "keys": list,
    "le": operator.le,
    "len": len,
    "list": list,
    "lt": operator.lt,
    "mul": operator.mul,
    "ne": operator.ne,
    "neg": operator.neg,
    "percentFormat": _percent_format,
    "pop": lambda values, *key: values.pop(*key),
    "pow": operator.pow,
    "remainder": operator.mod,
    "reverse": list.reverse,
    "slice": _slice,
    "sort": lambda values, reverse=False: values.sort(reverse=reverse),
    "str": str,
    "sub": operator.sub,
    "values": lambda values: list(values.values()),
    "warn": lambda *_: None,
}
"""Operators of the namespace `aten` on values that are no tensors."""

ON_TENSORS: Mapping[str, Function] = {
    "_convolution": lambda *arguments: torch.ops.aten.convolution(*arguments[:9]),
}
"""Operators of the namespace `aten` that only torch.jit.trace writes, without its flags."""

TO_NUMBER: Mapping[str, Function] = {
    "Bool": bool,
    "Float": float,
    "FloatImplicit": float,
    "Int": int,
    "IntImplicit": int,
    "ScalarImplicit": lambda value: value.item() if isinstance(value, torch.Tensor) else value,
    "item": lambda value: value.item(),
}
"""Operators of the namespace `aten` that make a number of a tensor, or of another number."""

PRIMITIVES: Mapping[str, Function] = {
    "DictConstruct": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "ImplicitTensorToNum": lambda value: value.item(),
    "ListConstruct": lambda *values: list(values),
    "NumToTensor": torch.tensor,
    "TupleConstruct": lambda *values: values,
    "TupleIndex": operator.getitem,
    "Uninitialized": lambda: None,
    "abs": abs,
    "data": lambda value: value.data,
    "device": lambda value: value.device,
    "layout": torch.ops.prim.layout,
    "dtype": torch.ops.prim.dtype,
    "max": max,
    "min": min,
    "unchecked_cast": lambda value: value,
    "unchecked_unwrap_optional": lambda value: value,
}
"""Operators of the namespace `prim` that compute."""
