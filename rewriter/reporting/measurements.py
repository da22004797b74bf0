"""Measured times and errors that a report shows: the JSON of `profile` and of `compare`."""

from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.rewriter.comparison.results import Comparison
from modelexport.rewriter.profiling.results import PartsProfile, Profile
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error

ErrorsByTag = dict[str, float]


def read_times(path: Path) -> list[Profile]:
    """The profile of a file, or those of the parts of a folder.

    Raises:
        FileProblem: It cannot be read, or is something else.
    """
    command = "modelexport profile"
    content = _read(path, command)
    if "parts" in content:
        return list(_converted(path, content, PartsProfile, command).parts.values())
    return [_converted(path, content, Profile, command)]


def read_errors(path: Path) -> dict[PartRole | None, ErrorsByTag]:
    """The greatest relative error of each module's values, by the role of the part.

    The comparison of two files has no role.

    Raises:
        FileProblem: It cannot be read, or is something else.
        UsageError: It has no numbers.
    """
    command = "modelexport compare --numeric"
    content = _read(path, command)
    comparisons: dict[PartRole | None, Comparison] = {}
    if content.keys() and content.keys() <= set(PartRole):
        comparisons |= _converted(path, content, dict[PartRole, Comparison], command)
    else:
        comparisons[None] = _converted(path, content, Comparison, command)
    return {role: _errors(path, comparison) for role, comparison in comparisons.items()}


def _errors(path: Path, comparison: Comparison) -> ErrorsByTag:
    if comparison.numeric is None:
        raise UsageError(f"{path}: it has no numeric results: run compare with --numeric.")
    errors: ErrorsByTag = {}
    for value in comparison.numeric.values:
        if value.relative is not None:
            errors[value.tag] = max(errors.get(value.tag, 0.0), value.relative)
    return errors


def _read(path: Path, command: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise FileProblem(f"{path}: it cannot be read ({error.strerror}).") from error
    except DECODE_ERRORS as error:
        raise _no_such_json(path, command, error) from error


def _converted(path: Path, content: dict[str, Any], type_: Any, command: str) -> Any:
    try:
        return msgspec.convert(content, type_)
    except DECODE_ERRORS as error:
        raise _no_such_json(path, command, error) from error


def _no_such_json(path: Path, command: str, error: Exception) -> FileProblem:
    reason = explain_decode_error(error)
    return FileProblem(f"{path}: it is not the JSON of {command} ({reason}).")
