"""Strings of a model that are not valid text: finding the one that caused an error.

Protobuf gives a string that is not UTF-8 as bytes. Such a file can be read as long as nothing needs
the string. When something needs it, the error names its place.
"""

from typing import Any


def find_broken_text(message: Any, place: str = "") -> str | None:
    """The place of the first string inside a message that is not UTF-8; None if there is none.

    Args:
        message: A model, or a part of it.
        place: Where the part is, such as `graph.node[3]`.
    """
    for field, value in message.ListFields():
        path = f"{place}.{field.name}" if place else field.name
        repeated = hasattr(value, "append")
        for index, item in enumerate(value) if repeated else [(None, value)]:
            where = path if index is None else f"{path}[{index}]"
            if field.type == field.TYPE_STRING and isinstance(item, bytes):
                return where
            if field.message_type is not None:
                inner = find_broken_text(item, where)
                if inner is not None:
                    return inner
    return None
