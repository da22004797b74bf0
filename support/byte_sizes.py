"""Sizes in bytes as people write them."""

import re

_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT]?)(I?)B?", re.ASCII)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def read_byte_size(text: str) -> int | None:
    """The bytes of a size such as `2GB`, `512 MiB` or `1.5g`; None when the text is no size.

    Units with an i count by 1024, others by 1000; without a unit, the number is one of bytes.

    >>> read_byte_size("2GB"), read_byte_size("512 MiB"), read_byte_size("64"), read_byte_size("a")
    (2000000000, 536870912, 64, None)
    """
    match = _SIZE.fullmatch(text.strip().upper())
    if match is None:
        return None
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit])
