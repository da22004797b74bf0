"""Damaging files: their bytes, the fields of their messages, the values of their JSON."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import onnx

_TEXTS = ("", "\x1b[31m", "a" * 3000, "../x", "/dev/zero", "[" * 3000, "é\u202e", "0" * 5000, "-1")
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 255, 65, 7)
_JSON_VALUES = (None, True, -1, 0, 2**63, 1e300, "", "\x1b[1m", [], {}, [[]] * 50, "x" * 2000)


def mutate(data: bytes, kind: str, source: random.Random) -> bytes:
    """A damaged copy.

    Args:
        data: The content of a file.
        kind: What it is: `onnx`, `json` or `text`.
        source: Decides what is damaged.
    """
    way = source.random()
    if kind == "onnx" and way < 0.7:
        return _mutate_model(data, source)
    if kind == "json" and way < 0.7:
        return _mutate_json(data, source)
    return _mutate_bytes(data, source)


def _mutate_bytes(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5))):
        start = source.randrange(len(changed) or 1)
        end = start + source.choice((1, 2, 8, 64))
        way = source.randrange(5)
        if way == 0:
            changed[start : start + 1] = bytes([source.randrange(256)])
        elif way == 1:
            del changed[start:end]
        elif way == 2:
            changed[start:start] = changed[start:end]
        elif way == 3:
            changed[start:start] = source.randbytes(end - start)
        else:
            del changed[start + source.randrange(len(changed) or 1) :]
    return bytes(changed)


def _mutate_model(data: bytes, source: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(data)
    for _ in range(source.choice((1, 1, 2, 4))):
        places = list(_places(model))
        message, field = source.choice(places)
        _mutate_field(message, field, source)
    return bytes(model.SerializeToString())


def _places(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every message inside a message, with each of its fields."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "append") else [value]:
                yield from _places(inner)


def _mutate_field(message: Any, field: Any, source: random.Random) -> None:
    value = getattr(message, field.name)
    if hasattr(value, "append"):
        _mutate_list(value, field, source)
    elif source.random() < 0.2 or field.message_type is not None:
        message.ClearField(field.name)
    elif (new := _scalar(field, source)) is not None:
        setattr(message, field.name, new)


def _mutate_list(values: Any, field: Any, source: random.Random) -> None:
    if values and source.random() < 0.3:
        del values[source.randrange(len(values))]
    elif values and source.random() < 0.5:
        values.extend([values[source.randrange(len(values))]] * source.choice((1, 1, 2, 40)))
    elif field.message_type is not None:
        values.add()
    elif (new := _scalar(field, source)) is not None:
        values.extend([new] * source.choice((1, 1, 100)))


def _scalar(field: Any, source: random.Random) -> Any:
    """A value for a field that holds no message; None for a kind of numbers with names."""
    if field.type == field.TYPE_STRING:
        return source.choice(_TEXTS)
    if field.type == field.TYPE_BYTES:
        return source.randbytes(source.choice((0, 1, 7, 2000)))
    if field.type == field.TYPE_ENUM:
        return source.choice([value.number for value in field.enum_type.values])
    if field.cpp_type in {field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE}:
        return source.choice((0.0, float("nan"), float("inf"), -1e30))
    number = source.choice(_NUMBERS)
    return abs(number) if field.type in {field.TYPE_UINT64, field.TYPE_UINT32} else number


def _mutate_json(data: bytes, source: random.Random) -> bytes:
    content = msgspec.json.decode(data)
    for _ in range(source.choice((1, 1, 3))):
        holder, key = source.choice(list(_values(content)))
        if source.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(source.choice(_JSON_VALUES))
        if not content:
            break
    return msgspec.json.encode(content)


def _values(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in JSON data, with each of its keys or indices."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _values(content[key])
