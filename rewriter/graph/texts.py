"""Text of a model that leaves it: names in results, records and lists for other tools."""

from collections.abc import Iterable

from modelexport.support.error_texts import listed


def require_text(*texts: object) -> None:
    """Refuse what protobuf gave as bytes because it is not UTF-8.

    The container, while it is open, turns the error into one that tells the place in the file.

    Args:
        texts: Strings of protobuf messages.

    Raises:
        UnicodeError: One is bytes.
    """
    for text in texts:
        if isinstance(text, bytes):
            raise UnicodeError(f"{text!r} is not UTF-8 text")


def gap_reason(nodes: Iterable[str]) -> str:
    """Why nodes are not convex: they cannot be one part, and cannot become one node.

    Args:
        nodes: The nodes outside of them through which values come back, as errors name them.
    """
    return (
        f"values leave it and come back through nodes outside of it: {listed(list(nodes))}. "
        "Take the module around it, what is between as well, or one call (PATH@1)."
    )
