"""Unpacking data that may be made to fill the memory."""

import zlib


def decompress(data: bytes, most: int) -> bytes:
    """Unpack what `zlib.compress` made.

    Args:
        data: The packed bytes.
        most: Maximum number of bytes to unpack.

    Raises:
        ValueError: The bytes are damaged, or unpack to more.
    """
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"the compressed bytes are damaged ({error})") from error
    if len(unpacked) > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes")
    if not unpacking.eof:
        raise ValueError("the compressed bytes are cut off")
    return unpacked
