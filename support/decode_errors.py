"""Saying what is wrong with JSON, TOML or YAML that msgspec refuses to decode.

msgspec names the place as a path (`$.models[2].trace`), but writes `[...]` for the value of any
key of a mapping. Where the data is at hand, the message gets the user's own key instead.
"""

import difflib
import re
from typing import Any, NamedTuple

import msgspec

_MESSAGE = re.compile(
    r"^(?P<message>.*?)(?: - at (?:`key` in )?`(?P<path>\$[^`]*)`)?$",
    re.DOTALL,
)
_UNKNOWN_KEY = re.compile(r"^Object contains unknown field `(?P<key>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
"""One step of a path as msgspec writes it; the last form stands for any key of a mapping."""

_MAX_QUOTED = 60
"""Maximum number of characters of a wrong value that the message quotes."""

DECODE_ERRORS = (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError)
"""What decoding JSON, TOML or YAML raises: wrong data, no UTF-8, too deep, too large a number."""

NamedPath = tuple[str | int, ...]
"""The keys and indices that lead to a value inside nested mappings and lists."""

PartlyNamedPath = tuple[str | int | None, ...]
"""The same; None stands for a key that msgspec does not name."""


class _Problem(NamedTuple):
    """One error of msgspec: its message without the path, and the path."""

    message: str
    path: PartlyNamedPath


def explain_decode_error(error: Exception, *, type_: Any = None, data: object = None) -> str:
    """What msgspec found wrong, after the path of the key that it is about.

    >>> try:
    ...     msgspec.json.decode(b'{"a": {"b": "x"}}', type=dict[str, dict[str, int]])
    ... except msgspec.DecodeError as error:
    ...     explain_decode_error(error)
    '$[...][...]: expected `int`, got `str`'

    Args:
        error: One of `DECODE_ERRORS`.
        type_: What the data should be. With it, a message about an unknown key names the keys
            that exist.
        data: The data as nested mappings and lists; needs `type_`. With it, the message has the
            user's own keys, and quotes a wrong value.

    Returns:
        The inner part of a sentence, without a full stop.
    """
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 text at byte {error.start:,}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    problem = _parse(error)
    if not isinstance(error, msgspec.ValidationError):
        return _lower_first(problem.message)  # the text is no JSON: there is no path
    if data is not None:
        problem = _name_keys(problem, type_, data)
    if unknown := _UNKNOWN_KEY.match(problem.message):
        key = unknown["key"]
        return f"{_write((*problem.path, key))}: unknown key{_hint(key, problem.path, type_)}"
    quoted = "" if data is None else _quote(problem.path, data)
    return f"{_write(problem.path)}: {_lower_first(problem.message)}{quoted}"


def _parse(error: Exception) -> _Problem:
    match = _MESSAGE.match(str(error))
    assert match is not None  # the pattern matches any text
    path = [
        step["field"] or (int(step["index"]) if step["index"] else None)
        for step in _STEP.finditer(match["path"] or "")
    ]
    return _Problem(match["message"], tuple(path))


def _name_keys(problem: _Problem, type_: Any, data: object) -> _Problem:
    """The problem with the user's keys in its path.

    Where msgspec does not name the key of a mapping, the mapping is reduced to one of its keys
    after the other, until the error shows again.
    """
    named: NamedPath = ()
    for step in problem.path:
        if step is not None:
            named = (*named, step)
            continue
        mapping = _get(data, named)
        for key, value in mapping.items():
            reduced = _replace(data, named, {key: value})
            again = _convert_error(reduced, type_)
            if again is not None:
                data, problem, named = reduced, again, (*named, str(key))
                break
    return _Problem(problem.message, named)


def _convert_error(data: object, type_: Any) -> _Problem | None:
    """The problem with some data; None when it is what it should be."""
    try:
        msgspec.convert(data, type_, str_keys=True)
    except msgspec.ValidationError as error:
        return _parse(error)
    return None


def _hint(key: str, path: PartlyNamedPath, type_: Any) -> str:
    """The keys that exist at a path, or the one that was probably meant."""
    names = [] if type_ is None else _known_keys(path, type_)
    if not names:
        return ""
    close = difflib.get_close_matches(key, names, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (the keys are {', '.join(names)})"


def _known_keys(path: PartlyNamedPath, type_: Any) -> list[str]:
    """The keys of the object at a path, sorted, by the JSON Schema of the type."""
    schema = msgspec.json.schema(type_)
    node = _resolve(schema, schema)
    for step in path:
        if isinstance(step, int):
            node = node.get("items", {})
        else:
            anything = node.get("additionalProperties")
            fallback = anything if isinstance(anything, dict) else {}
            node = node.get("properties", {}).get(step, fallback)
        node = _resolve(node, schema)
    return sorted(node.get("properties", {}))


def _resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A part of a schema without indirection: what it refers to, or the object among several."""
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    name = node.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else node


def _quote(path: PartlyNamedPath, data: object) -> str:
    """The wrong value, where it is plain and short."""
    try:
        value = _get(data, path)
    except (KeyError, IndexError, TypeError):
        return ""  # the error is about a key, not a value
    short = isinstance(value, str | int | float) and len(str(value)) < _MAX_QUOTED
    return f", not {value!r}" if short else ""


def _get(data: Any, path: PartlyNamedPath) -> Any:
    for step in path:
        data = data[step]
    return data


def _replace(data: Any, path: NamedPath, value: object) -> Any:
    """A copy of nested containers with another value at one place."""
    if not path:
        return value
    first, *rest = path
    changed = data.copy()
    changed[first] = _replace(data[first], tuple(rest), value)
    return changed


def _write(path: PartlyNamedPath) -> str:
    r"""A path as text.

    >>> _write(("inputs", "x.y", 0))
    '$.inputs["x.y"][0]'
    """
    text = "$"
    for step in path:
        if step is None:
            text += "[...]"
        elif isinstance(step, str) and step.isidentifier():
            text += f".{step}"
        else:
            text += f"[{msgspec.json.encode(step).decode()}]"
    return text


def _lower_first(text: str) -> str:
    """The text with a small first letter, unless it begins with an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
