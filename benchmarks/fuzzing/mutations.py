"""Damaging files: their bytes, the fields of their messages, the values of their JSON, their lines.

All choices come from one source of random numbers, so that a damaged file can be made again, and
so that hypothesis can choose them, too.
"""

import copy
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import onnx
from google.protobuf.message import DecodeError, EncodeError

from fuzzing.operators import change_operator

_TEXTS = (
    *("", "\x1b[31m", "a" * 3000, "../x", "/dev/zero", "[" * 3000, "é\u202e", "0" * 5000, "-1"),
    *("x", "w0", "part.0", "/Net/part.0", "nan", "1e999", "9" * 30, "{}", "[]", "null", "\n\n"),
)
_NUMBERS = (0, 1, -1, 2**31 - 1, -(2**31), 255, 65, 7, 2, 3, 16, 1000)
_JSON_VALUES = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 1e300, -0.5, "", "\x1b[1m", "a", "0", [], {}),
    *([[]] * 50, "x" * 2000, {"": {}}, [None], "\ud800".encode("utf-8", "replace").decode()),
)
_TOKENS = (
    *(b"[", b"]", b"{", b"}", b'"', b"'", b"=", b":", b",", b";", b"\n", b"\t", b"#", b"\\", b"-"),
    *(b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xc3\xa9", b"1e999", b"-1", b"nan", b"9" * 40),
    *(b"&a ", b"*a", b"[[models]]\n", b"null", b"true", b"!!python/object:os.system "),
    *(b"&lt;", b"<!ENTITY a 'b'>"),
)
_BROKEN_TEXT = 0.05
"""Share of the damaged models in which a text is not UTF-8."""
_OTHER_OPERATORS = 0.15
"""Share of the damaged models in which a node gets another operator."""
_MAX_BYTES = 200_000
"""Size that a file may grow to by damage upon damage."""


def mutate(data: bytes, kind: str, source: random.Random) -> bytes:
    """A damaged copy.

    Args:
        data: The content of a file.
        kind: What it is: `onnx`, `json`, `text` or `bytes`.
        source: Decides what is damaged.
    """
    damaged = _mutate_by_kind(data, kind, source)
    return damaged if len(damaged) <= _MAX_BYTES else _mutate_bytes(data[:_MAX_BYTES], source)


def _mutate_by_kind(data: bytes, kind: str, source: random.Random) -> bytes:
    way = source.random()
    if kind == "onnx" and way < 0.85:
        return _mutate_model(data, source)
    if kind == "json" and way < 0.8:
        return _mutate_json(data, source)
    if kind == "text" and way < 0.7:
        return _mutate_lines(data, source)
    return _mutate_bytes(data, source)


def _mutate_bytes(data: bytes, source: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 5))):
        start = source.randrange(len(changed) or 1)
        end = start + source.choice((1, 2, 8, 64))
        way = source.randrange(6)
        if way == 0:
            changed[start : start + 1] = bytes([source.randrange(256)])
        elif way == 1:
            del changed[start:end]
        elif way == 2:
            changed[start:start] = changed[start:end]
        elif way == 3:
            changed[start:start] = source.randbytes(end - start)
        elif way == 4:
            changed[start:start] = source.choice(_TOKENS)
        else:
            del changed[start + source.randrange(len(changed) or 1) :]
    return bytes(changed)


def _mutate_lines(data: bytes, source: random.Random) -> bytes:
    """Remove, repeat and mix up lines, or write something else after a key."""
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(source.choice((1, 1, 2, 4))):
        place = source.randrange(len(lines))
        way = source.randrange(5)
        if way == 0 and len(lines) > 1:
            del lines[place]
        elif way == 1:
            lines.insert(place, lines[source.randrange(len(lines))] * source.choice((1, 1, 30)))
        elif way == 2:
            other = source.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            words = lines[place].split(b" ")
            words[source.randrange(len(words))] = source.choice(_TOKENS)
            lines[place] = b" ".join(words)
    return b"".join(lines)


_EARLIER_DAMAGE = (DecodeError, EncodeError, TypeError, ValueError, AttributeError)
"""What versions of protobuf raise about text that is no UTF-8, and other earlier damage."""


def _mutate_model(data: bytes, source: random.Random) -> bytes:
    try:
        model = onnx.ModelProto.FromString(data)
        if source.random() < _OTHER_OPERATORS:
            change_operator(model.graph, model, source)
        for _ in range(source.choice((1, 1, 2, 4))):
            places = list(_places(model))
            message, field = source.choice(places)
            if source.random() < 0.25:
                _copy_from_elsewhere(message, field, places, source)
            else:
                _mutate_field(message, field, source)
        damaged = bytes(model.SerializeToString())
        return _break_text(model, damaged, source) if source.random() < _BROKEN_TEXT else damaged
    except _EARLIER_DAMAGE:
        return _mutate_bytes(data, source)


def _break_text(model: onnx.ModelProto, data: bytes, source: random.Random) -> bytes:
    """Replace the last byte of a text, at all its places; protobuf itself refuses to write that."""
    texts = [t for m, f in _places(model) if f.type == f.TYPE_STRING for t in _texts(m, f) if t]
    text = source.choice(texts or ["x"]).encode()
    return data.replace(text, text[:-1] + b"\xff")


def _places(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every message inside a message, with each of its fields."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "append") else [value]:
                yield from _places(inner)


def _copy_from_elsewhere(
    message: Any, field: Any, places: list[tuple[Any, Any]], source: random.Random
) -> None:
    """Give a field the value that a field of its type has at another place of the model."""
    others = [
        m
        for m, f in places
        if f.name == field.name and f.containing_type is field.containing_type and m is not message
    ]
    if field.type == field.TYPE_STRING and source.random() < 0.5:
        others = []
        texts = [t for m, f in places if f.type == field.TYPE_STRING for t in _texts(m, f)]
        _put_text(message, field, source.choice(texts or [""]), source)
    if others:
        donor = copy.deepcopy(source.choice(others))
        message.ClearField(field.name)
        part = type(message)()
        value = getattr(donor, field.name)
        if hasattr(value, "append"):
            getattr(part, field.name).extend(value)
        elif field.message_type is not None:
            getattr(part, field.name).CopyFrom(value)
        else:
            setattr(part, field.name, value)
        message.MergeFrom(part)


def _texts(message: Any, field: Any) -> list[str]:
    value = getattr(message, field.name)
    return [value] if isinstance(value, str) else list(value)


def _put_text(message: Any, field: Any, text: str, source: random.Random) -> None:
    value = getattr(message, field.name)
    if isinstance(value, str):
        setattr(message, field.name, text)
    elif value:
        value[source.randrange(len(value))] = text
    else:
        value.append(text)


def _mutate_field(message: Any, field: Any, source: random.Random) -> None:
    value = getattr(message, field.name)
    if hasattr(value, "append"):
        _mutate_list(value, field, source)
    elif isinstance(value, str) and value[:1] in {"{", "["} and source.random() < 0.8:
        # metadata of ours is JSON
        damaged = _mutate_json(value.encode(), source)
        setattr(message, field.name, damaged.decode(errors="replace"))
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
    try:
        content = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # of earlier damage
        return _mutate_bytes(data, source)
    if not isinstance(content, dict | list):
        return _mutate_bytes(data, source)
    for _ in range(source.choice((1, 1, 3))):
        places = list(_values(content))
        if not places:
            break
        holder, key = source.choice(places)
        way = source.random()
        if way < 0.25:
            del holder[key]
        elif way < 0.4:
            other, other_key = source.choice(places)
            holder[key] = copy.deepcopy(other[other_key])
        elif way < 0.5 and isinstance(holder, list):
            holder.extend([holder[key]] * source.choice((1, 2, 40)))
        else:
            holder[key] = copy.deepcopy(source.choice(_JSON_VALUES))
    return msgspec.json.encode(content)


def _values(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in JSON data, with each of its keys or indices."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _values(content[key])
