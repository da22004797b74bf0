"""Reading what people write by hand, in JSON, TOML or YAML, into Structs.

What is wrong is said with the key that it is about: `$.inputs.x.shape`.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelexport.errors import SettingsError

T = TypeVar("T")

_PATH = re.compile(r"`\$(?P<steps>[^`]*)`")
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
"""A step of a path as msgspec writes it; the last form is some key of a mapping."""

STDIN = Path("-")


def read_settings(path: Path, type_: type[T]) -> T:
    """Read a file; its format goes by its suffix, and `-` is JSON on standard input.

    Args:
        path: The file.
        type_: What it is to hold.

    Raises:
        SettingsError: It cannot be read, or does not hold that. The message names the key.
    """
    if path == STDIN:
        return decode_settings(sys.stdin.buffer.read(), ".json", type_, "standard input")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from error
    return decode_settings(data, path.suffix, type_, str(path))


def decode_settings(data: bytes, suffix: str, type_: type[T], where: str) -> T:
    """Decode what a file holds.

    Args:
        data: Its bytes.
        suffix: `.json`, `.toml`, `.yaml` or `.yml`.
        type_: What it is to hold.
        where: Its name, for errors.

    Raises:
        SettingsError: It does not hold that.
    """
    decode = _DECODERS.get(suffix.lower())
    if decode is None:
        known = ", ".join(_DECODERS)
        raise SettingsError(f"{where}: no settings file; its name must end with one of {known}.")
    try:
        found = decode(data)
    except Exception as error:
        first = " ".join(str(error).split())
        name = suffix.lower().lstrip(".").upper()
        raise SettingsError(f"{where}: not {name} ({first.rstrip('.')}).") from error
    if not isinstance(found, Mapping):
        raise SettingsError(f"{where}: it must hold keys and values.")
    try:
        return _convert(found, type_)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {_located(error, found, type_)}.") from error


def _convert(found: object, type_: type[T]) -> T:
    return msgspec.convert(found, type_, str_keys=True)


def _located(error: msgspec.ValidationError, found: object, type_: type[Any]) -> str:
    """What is wrong, with the user's own keys where msgspec only says that it is one of them.

    Of such a mapping one key after the other is left alone, until the error shows again.
    """
    said = str(error).replace("Object contains unknown field", "there is no key")
    match = _PATH.search(said)
    if match is None:
        return f"{said} - at `$`"
    steps: list[str | int] = []
    for step in _STEP.finditer(match["steps"]):
        if step["field"] is not None:
            steps.append(step["field"])
        elif step["index"] is not None:
            steps.append(int(step["index"]))
        else:
            for key in _at(found, steps):
                alone = _replaced(found, steps, {key: _at(found, steps)[key]})
                if (again := _error(alone, type_)) is not None:
                    found, said = alone, again
                    steps.append(str(key))
                    break
    return _PATH.sub(lambda _: f"`{_shown(steps)}`", said)


def _error(found: object, type_: type[Any]) -> str | None:
    try:
        _convert(found, type_)
    except msgspec.ValidationError as error:
        return str(error).replace("Object contains unknown field", "there is no key")
    return None


def _at(found: Any, steps: list[str | int]) -> Any:
    for step in steps:
        found = found[step]
    return found


def _replaced(found: Any, steps: list[str | int], value: object) -> Any:
    """A copy of nested containers with another value in one place."""
    if not steps:
        return value
    first, *rest = steps
    changed = found.copy()
    changed[first] = _replaced(found[first], rest, value)
    return changed


def _shown(steps: list[str | int]) -> str:
    text = "$"
    for step in steps:
        plain = isinstance(step, str) and step.isidentifier()
        text += f".{step}" if plain else f"[{msgspec.json.encode(step).decode()}]"
    return text


def _yaml(data: bytes) -> object:
    import yaml  # noqa: PLC0415 - few settings are YAML

    return yaml.safe_load(data)


_DECODERS: dict[str, Callable[[bytes], object]] = {
    ".json": msgspec.json.decode,
    ".toml": lambda data: tomllib.loads(data.decode()),
    ".yaml": _yaml,
    ".yml": _yaml,
}
