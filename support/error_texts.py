"""Turning exceptions of libraries into the short sentences that users read."""

from collections.abc import Sequence

from modelexport.errors import ModelExportError

MAX_LENGTH = 300
"""Maximum number of characters of a quoted message: some libraries print a whole graph."""

_MAX_UNEXPECTED = 500
"""Maximum number of characters of an unexpected error, which is all that a bug report has."""


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are.

    >>> listed(["a", "b"])
    'a, b'
    >>> listed(list("abcdefg"))
    'a, b, c, d, e and 2 more'

    Args:
        names: The names.
        most: Maximum number of names that are listed.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_line(error: BaseException, *, with_type: bool = False) -> str:
    r"""The first line of an error's message that holds text, without its final full stop.

    >>> first_line(ValueError("wrong shape.\n  at node 7"))
    'wrong shape'
    >>> first_line(ValueError("wrong shape."), with_type=True)
    'ValueError: wrong shape'

    Args:
        error: The error.
        with_type: Whether to put the name of its class in front.

    Returns:
        At most 300 characters of the message; the name of the class when there is no message.
    """
    name = type(error).__name__
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    line = line.rstrip(". ")[:MAX_LENGTH]
    if not line:
        return f"{name}: no message" if with_type else name
    return f"{name}: {line}" if with_type else line


def error_sentence(error: BaseException, hint: str) -> str:
    """Any error as one sentence for the user.

    Args:
        error: The error.
        hint: Where to find details when the error is none that we expect.
    """
    if isinstance(error, ModelExportError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    if isinstance(error, MemoryError):
        return "there is not enough memory for this."
    if isinstance(error, RecursionError):
        return f"something in the input is nested too deeply ({hint})."
    if isinstance(error, OSError) and error.strerror:
        return f"the operating system reports: {error.strerror} ({hint})."
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {words[:_MAX_UNEXPECTED]} ({hint})"
