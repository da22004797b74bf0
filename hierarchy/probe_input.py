"""An input on which a model was run when it was traced, as the record holds it: packed."""

import math
import zlib

import msgspec
import numpy as np

from modelexport.errors import RecordError
from modelexport.hierarchy.fingerprints import Array
from modelexport.support.compressed import decompress
from modelexport.support.decode_errors import DECODE_ERRORS
from modelexport.support.error_texts import first_line

_ZLIB_LEVEL = 6

MAX_PROBE_BYTES = 1 << 30
"""Maximum number of bytes that one probe input may unpack to."""

_MAX_STRING_BYTES = 1 << 26
_MAX_RANK = 64
"""Maximum number of dimensions; numpy has no more, either."""


class ProbeInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """One probe input.

    Attributes:
        name: Its name in the plain file.
        dtype: numpy's name of its type; `object` for strings.
        shape: Its extents.
        data: Its elements, compressed by zlib: little-endian bytes, or a JSON list of strings.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def from_array(cls, name: str, array: Array) -> "ProbeInput":
        """Compress an array."""
        if array.dtype.kind == "O":
            strings = msgspec.json.encode(array.reshape(-1).tolist())
            return cls(name, array.dtype.name, array.shape, zlib.compress(strings, _ZLIB_LEVEL))
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        return cls(
            name, array.dtype.name, array.shape, zlib.compress(little.tobytes(), _ZLIB_LEVEL)
        )

    def to_array(self) -> Array:
        """The array that was compressed.

        Raises:
            RecordError: The bytes are damaged, do not fit type and shape, or are too many.
        """
        try:
            if self.dtype == "object":
                text = decompress(self.data, _MAX_STRING_BYTES)
                strings = msgspec.json.decode(text, type=list[str])
                return np.array(strings, object).reshape(self.shape)
            dtype = np.dtype(self.dtype).newbyteorder("<")
            count = math.prod(self.shape[:_MAX_RANK])
            size = min(max(0, count * dtype.itemsize), MAX_PROBE_BYTES)
            return np.frombuffer(decompress(self.data, size), dtype).reshape(self.shape)
        except (ValueError, TypeError, SyntaxError, *DECODE_ERRORS) as error:
            raise RecordError(
                f"the record's input {self.name!r} is damaged ({first_line(error)})."
            ) from error
