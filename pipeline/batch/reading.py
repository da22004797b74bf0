"""Reading a plan: TOML (or YAML or JSON) in, typed plan out, and errors that point at the key."""

import difflib
import re
from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import PlanError
from modelexport.pipeline.batch.plan import Plan
from modelexport.support.settings import read_settings

_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<key>.*?)`(?: - at `(?P<path>.*)`)?$")
_AT = re.compile(r"^(?P<what>.*) - at `(?P<path>.*)`$")


def read_plan(path: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan of a file, typed, and as it was written (to tell what was left out).

    Raises:
        SettingsError: It cannot be read.
        PlanError: It does not follow the schema.
    """
    raw = read_settings(path, dict[str, Any])
    try:
        return msgspec.convert(raw, Plan, str_keys=True), raw
    except msgspec.ValidationError as error:
        raise PlanError(f"{path}: {_pointed(str(error), raw)}.") from error


def _pointed(message: str, raw: dict[str, Any]) -> str:
    """A message of msgspec's, opened by the path of the key it is about."""
    if unknown := _UNKNOWN.match(message):
        at, key = unknown["path"] or "$", unknown["key"]
        known = _known_keys(at)
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return f"{at}.{key}: unknown key ({hint})"
    if found := _AT.match(message):
        return f"{found['path']}: {_lowered(found['what'])}{_given(found['path'], raw)}"
    return f"$: {_lowered(message)}"


def _known_keys(path: str) -> list[str]:
    """The keys that the schema knows at a path such as `$.models[2].trace`."""
    schema = msgspec.json.schema(Plan)
    at: dict[str, Any] = schema
    for name in re.findall(r"\w+|\[[^\]]*\]", path.removeprefix("$")):
        at = _resolved(at, schema)
        at = at.get("items", {}) if name.startswith("[") else at.get("properties", {}).get(name, {})
    return sorted(_resolved(at, schema).get("properties", {}))


def _resolved(at: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    for option in at.get("anyOf", []):
        if "$ref" in option:
            at = option
    name = at.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else at


def _given(path: str, raw: dict[str, Any]) -> str:
    """What stands there, where it is short enough to repeat."""
    at: Any = raw
    for name in re.findall(r"\w+", path.removeprefix("$")):
        try:
            at = at[int(name)] if isinstance(at, list) else at[name]
        except (KeyError, IndexError, ValueError, TypeError):
            return ""
    return f", not {at!r}" if isinstance(at, str | int | float) and len(str(at)) < 60 else ""


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
