"""Text of a model that leaves it: names in results, records and lists for other tools."""


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
