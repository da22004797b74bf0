"""Optional dependencies: the error for a missing one says how to install it."""

from collections.abc import Iterator
from contextlib import contextmanager

from modelexport.errors import MissingExtraError


@contextmanager
def require_extra(extra: str, user: str) -> Iterator[None]:
    """Import packages of an extra in the body; a missing one becomes an error for the user.

    Args:
        extra: Name of the extra.
        user: What needs it; the subject of the error's sentence.

    Raises:
        MissingExtraError: A package is not installed. The message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{user} needs {error.name}: pip install 'modelexport[{extra}]'."
        ) from error
