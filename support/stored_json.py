"""Reading the JSON that a command wrote, for another command."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from modelexport.errors import FileProblem
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error

Value = TypeVar("Value")


def read_object(path: Path, command: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: The file.
        command: The command that writes such files, for errors.

    Raises:
        FileProblem: It cannot be read, or holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise FileProblem(f"{path}: it cannot be read ({error.strerror}).") from error
    except DECODE_ERRORS as error:
        raise _no_such_json(path, command, error) from error


def convert_object(path: Path, content: dict[str, Any], type_: type[Value], command: str) -> Value:
    """The object of a JSON file as a result.

    Args:
        path: The file, for errors.
        content: What it holds.
        type_: Type of the result.
        command: The command that writes such files, for errors.

    Raises:
        FileProblem: It is something else.
    """
    try:
        return msgspec.convert(content, type_)
    except DECODE_ERRORS as error:
        raise _no_such_json(path, command, error) from error


def _no_such_json(path: Path, command: str, error: Exception) -> FileProblem:
    reason = explain_decode_error(error)
    return FileProblem(f"{path}: it is not the JSON of {command} ({reason}).")
