"""Taking containers of tensors apart, and putting them together again around other tensors.

A container is whatever holds tensors: mappings, sequences, types that are registered with torch's
pytree, and any object by its attributes (a cache, a dataclass). Each tensor gets the name of the
path that leads to it. Everything without tensors is a constant.
"""

import copy
import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.errors import InputsError
from modelexport.tracer.sources.caches import cache_steps, is_cache

_SEARCH_DEPTH = 6
"""How many references are followed to find tensors in what cannot be taken apart."""

_WITHOUT_TENSORS = (
    bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.layout,
    torch.Size, torch.Generator, type, ModuleType, nn.Module, type(lambda: None),
)  # fmt: skip


@dataclass(frozen=True)
class Tensors:
    """A value taken apart.

    Attributes:
        named: Each tensor with the path that leads to it from the value; "" for the value itself.
        rebuild: Makes the value again, around the tensors that it gets, in the same order.
        refers_back: Whether it refers to itself or to a container around it.
    """

    named: Sequence[tuple[tuple[str, ...], torch.Tensor]]
    rebuild: Callable[[Iterator[Any]], Any]
    refers_back: bool = False


class _Place:
    """Where a container stands while it is put together again, for what refers back to it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def take_apart(
    value: Any, path: tuple[str, ...] = (), around: Mapping[int, _Place] | None = None
) -> Tensors:
    """Find the tensors in a value.

    Args:
        value: Any value.
        path: The path that leads to it.
        around: The containers around it by their identities: it may refer back to them.

    Raises:
        InputsError: It holds tensors, but cannot be taken apart.
    """
    around = around or {}
    if isinstance(value, torch.Tensor):
        return Tensors([(path, value)], next)
    if id(value) in around:
        return Tensors((), lambda _: around[id(value)].value, refers_back=True)
    if isinstance(value, _WITHOUT_TENSORS):
        return Tensors((), lambda _: value)
    if isinstance(value, np.ndarray):
        raise InputsError(f"The input {'.'.join(path)} is an array of numpy: give it as a tensor.")
    place = _Place(value)
    children, build = _children(value, place)
    inside = {**around, id(value): place}
    parts = [take_apart(child, (*path, key), inside) for key, child in children]
    named = [pair for part in parts for pair in part.named]
    if is_cache(value):
        start = len(path)
        named = [((*path, *cache_steps(steps[start:])), tensor) for steps, tensor in named]
    refers_back = any(part.refers_back for part in parts)
    if named or refers_back:
        return Tensors(
            named, lambda tensors: build(part.rebuild(tensors) for part in parts), refers_back
        )
    if not children and _refers_to_tensor(value):
        name, kind = ".".join(path) or "the output", type(value)
        raise InputsError(
            f"The tensors in {name} cannot be found: it is a {kind.__module__}.{kind.__qualname__}."
            " Give them in tuples, dictionaries or dataclasses, or register the type with "
            "torch.utils._pytree.register_pytree_node."
        )
    return Tensors((), lambda _: _copied(value))  # the model may change it


def cache_keys(value: Any) -> frozenset[str]:
    """The keys under which a value holds caches; empty where it is no container."""
    if isinstance(value, (torch.Tensor, *_WITHOUT_TENSORS)):
        return frozenset()
    children, _ = _children(value, _Place(value))
    return frozenset(key for key, child in children if is_cache(child))


def _children(
    value: Any, place: _Place
) -> tuple[list[tuple[str, Any]], Callable[[Iterable[Any]], Any]]:
    """The keys and values in a container, and what builds it of other values.

    There are no keys where it is no container. What builds it puts it in its place first, where
    its type lets it be filled later.
    """
    if isinstance(value, Mapping):
        keys = list(value)
        pairs = [(str(key), value[key]) for key in keys]
        return pairs, lambda new: _with_items(place, value, keys, new)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True)), lambda new: type(value)(*new)
    if isinstance(value, tuple | list):
        pairs = [(str(position), item) for position, item in enumerate(value)]
        if isinstance(value, tuple):
            return pairs, type(value)
        return pairs, lambda new: _with_items(place, value, range(len(value)), new)
    node = None if is_cache(value) else pytree.SUPPORTED_NODES.get(type(value))
    if node is not None:
        items, context = node.flatten_fn(value)
        names = _registered_keys(value, node, items)
        return list(zip(names, items, strict=True)), lambda new: node.unflatten_fn(
            list(new), context
        )
    attributes = _attributes(value)
    return list(attributes.items()), lambda new: _with_attributes(place, value, attributes, new)


def _registered_keys(value: Any, node: Any, items: Sequence[Any]) -> list[str]:
    """The keys that a registered type has for its parts.

    Where these are only positions, the attributes that hold the parts say more.
    """
    keys: list[Any] = []
    if node.flatten_with_keys_fn is not None:
        keys = [key for key, _ in node.flatten_with_keys_fn(value)[0]]
    names = [
        str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", number))))
        for number, key in enumerate(keys or items)
    ]
    if any(not isinstance(key, pytree.SequenceKey) for key in keys):
        return names
    holders = dict(_paths_by_tensor(_attributes(value), ()))
    return [holders.get(id(item), name) for item, name in zip(items, names, strict=True)]


def _paths_by_tensor(
    attributes: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[int, str]]:
    """The identity of each tensor below some attributes, and the path that leads to it."""
    with suppress(InputsError):
        for name, attribute in attributes.items():
            for steps, tensor in take_apart(attribute, (*path, name)).named:
                yield id(tensor), ".".join(steps)


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object, in slots and out of them."""
    slots = [
        name
        for cls in type(value).__mro__
        for name in _names(vars(cls).get("__slots__", ()))
        if hasattr(value, name) and not name.startswith("__")
    ]
    return {name: getattr(value, name) for name in slots} | dict(getattr(value, "__dict__", {}))


def _names(slots: Any) -> Sequence[str]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _with_items(place: _Place, value: Any, keys: Iterable[Any], items: Iterable[Any]) -> Any:
    """A mapping or list of the same type with other items."""
    new = place.value = copy.copy(value)
    for key, item in zip(keys, items, strict=True):
        new[key] = item
    return new


def _with_attributes(
    place: _Place, value: Any, names: Iterable[str], attributes: Iterable[Any]
) -> Any:
    """An object of the same type with other attributes."""
    new = place.value = copy.copy(value)
    for name, attribute in zip(names, attributes, strict=True):
        object.__setattr__(new, name, attribute)  # also where the class is frozen
    return new


def _copied(value: Any) -> Any:
    """A copy of a value without tensors; the value itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - a class may refuse in any way
        return value


def _refers_to_tensor(value: Any) -> bool:
    """Whether a tensor can be reached from an object, through anything but modules and types."""
    visited: set[int] = set()
    level = [value]
    for _ in range(_SEARCH_DEPTH):
        level = [
            referent
            for referent in gc.get_referents(*level)
            if id(referent) not in visited and not isinstance(referent, _WITHOUT_TENSORS)
        ]
        visited.update(map(id, level))
        if any(isinstance(referent, torch.Tensor) for referent in level):
            return True
    return False
