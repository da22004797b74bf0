"""Reading files that people write by hand, in JSON, TOML or YAML, into Structs."""

import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from modelexport.errors import SettingsError
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error
from modelexport.support.stdio import STDIO, input_name

T = TypeVar("T")

_MAX_STEPS = 100
"""Maximum number of steps of a dotted key in TOML: the time to read a key grows with the square of
its length."""

_LONG_KEY = re.compile(
    rf"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{_MAX_STEPS}}}"""
)


def read_settings(path: Path, type_: type[T]) -> T:
    """Read a file of settings.

    Args:
        path: The file. Its suffix gives the format; `-` is JSON on standard input.
        type_: The type of its content.

    Raises:
        SettingsError: The file cannot be read, or its content is not of that type. The message
            names the key (`$.inputs.x.shape`).
    """
    if path == STDIO:
        return decode_settings(sys.stdin.buffer.read(), ".json", type_, input_name(path))
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}).") from error
    return decode_settings(data, path.suffix, type_, str(path))


def decode_settings(data: bytes, suffix: str, type_: type[T], file: str) -> T:
    """Decode the content of a file of settings.

    Args:
        data: The content.
        suffix: `.json`, `.toml`, `.yaml` or `.yml`.
        type_: The type of the content.
        file: Name of the file, for errors.

    Raises:
        SettingsError: The content is not of that type. The message names the key.
    """
    decode = _DECODERS.get(suffix.lower())
    if decode is None:
        endings = ", ".join(_DECODERS)
        raise SettingsError(
            f"{file}: not a settings file; its name must end with one of {endings}."
        )
    try:
        content = decode(data)
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".")
        name = suffix.lower().lstrip(".").upper()
        raise SettingsError(f"{file}: not {name} ({reason}).") from error
    if not isinstance(content, Mapping):
        raise SettingsError(f"{file}: it must hold keys and values.")
    try:
        return msgspec.convert(content, type_, str_keys=True)
    except DECODE_ERRORS as error:
        reason = explain_decode_error(error, type_=type_, data=content)
        raise SettingsError(f"{file}: {reason}.") from error


def _decode_toml(data: bytes) -> object:
    text = data.decode()
    if _LONG_KEY.search(text):
        raise ValueError(f"a key has more than {_MAX_STEPS} steps")
    return tomllib.loads(text)


def _decode_yaml(data: bytes) -> object:
    import yaml  # noqa: PLC0415 - few settings are YAML

    return yaml.safe_load(data)


_DECODERS: dict[str, Callable[[bytes], object]] = {
    ".json": msgspec.json.decode,
    ".toml": _decode_toml,
    ".yaml": _decode_yaml,
    ".yml": _decode_yaml,
}
