"""Changing protobuf's repeated fields."""

from collections.abc import Iterable
from typing import Any


def replace_messages(repeated: Any, messages: Iterable[Any]) -> None:
    """Replace all messages of a repeated field.

    The new messages may be ones that the field holds now: they are copied before the field is
    cleared.

    Args:
        repeated: The field, such as `graph.node`.
        messages: What it holds afterwards.
    """
    copies = [type(message).FromString(message.SerializeToString()) for message in messages]
    del repeated[:]
    repeated.extend(copies)
