"""Optional dependencies: who needs one that is missing is told how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager

from modelexport.errors import MissingExtraError


@contextmanager
def require_extra(extra: str, what: str) -> Iterator[None]:
    """Import what an extra brings; in the body, so that it is asked for only where it is used.

    Args:
        extra: The extra's name.
        what: Who needs it.

    Raises:
        MissingExtraError: A package is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{what} needs {error.name}: pip install 'modelexport[{extra}]'."
        ) from error
