"""Generated inputs for a file without recorded inputs: arrays on which it runs."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array, standard_type
from modelexport.hierarchy.probe_numbers import MAX_SWITCH_SIZE, distinct_integers, mask_flags
from modelexport.rewriter.container import SessionSource
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.session import Session

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
    "tensor(bfloat16)": "bfloat16",
    "tensor(float8e4m3fn)": "float8_e4m3fn",
    "tensor(float8e4m3fnuz)": "float8_e4m3fnuz",
    "tensor(float8e5m2)": "float8_e5m2",
    "tensor(float8e5m2fnuz)": "float8_e5m2fnuz",
} | {
    f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
"""numpy's (or ml_dtypes') name for each type of tensor for which arrays can be generated."""

_DYNAMIC_EXTENTS = (
    (2, 9), (2, 2), (1, 1), (2, 8), (2, 16), (2, 32), (2, 64), (2, 224), (4, 4), (1, 8),
)  # fmt: skip
"""Extents that are tried for dynamic dimensions: of the first dimension, and of the others."""

_EXTENTS_OF_SUMS = (2, 8)
"""The same where one dimension is twice as long: the sum of two others."""

_INTEGER_LIMITS = (1 << 15, 1 << 12, 1 << 10, 1 << 8, 1 << 6, 1 << 5, 1 << 4, 1 << 3)
"""Limits for random integers, tried from the widest on. If the file fails with all of them, zeros
and ones are used."""


def distinctive_feeds(path: Path, source: SessionSource, libraries: Sequence[str]) -> Feeds:
    """Inputs on which a file runs, with integers that differ as far as the file takes them.

    The file is optimised for these runs, which takes less time. Some files that onnxruntime has
    optimised and saved before cannot be optimised again (it gives new weights names that they
    have); they run as they are.

    Args:
        path: The file.
        source: What to load.
        libraries: Custom operator libraries to load.

    Raises:
        RuntimeFailedError: The file runs on none of the inputs that are tried.
    """
    try:
        session = Session(path, source=source, libraries=libraries)
    except RuntimeFailedError:
        session = Session(path, source=source, plain=True, libraries=libraries)
    return generate_feeds(session, distinctive=True)


def generate_feeds(
    session: Session, *, distinctive: bool = False, outputs: Sequence[str] | None = None
) -> Feeds:
    """Generate inputs on which a file runs.

    Args:
        session: The file.
        distinctive: Whether integers should differ as far as the file takes them. Zeros and ones
            run nearly everywhere; from there on, each input of integers gets the widest range
            under which the outputs stay finite. That takes some more runs.
        outputs: Names of these outputs; None for all that the session has.

    Raises:
        RuntimeFailedError: The file runs on none of the inputs that are tried.
    """
    failure: RuntimeFailedError | None = None
    names = list(outputs) if outputs is not None else session.outputs
    for extents in _candidate_extents(session):
        feeds = _arrays(session, extents)
        try:
            results = session.fetch(names, feeds)
        except RuntimeFailedError as error:
            failure = failure or error
        else:
            return _widen_integers(session, names, feeds, results) if distinctive else feeds
    assert failure is not None
    raise failure


def _widen_integers(
    session: Session, names: list[str], feeds: Feeds, results: Iterable[object]
) -> Feeds:
    """Give each input of integers the widest range on which the file still runs."""
    finite = _finite_share(results)
    positive = {n: np.abs(a) if a.dtype.kind in "fV" else a for n, a in feeds.items()}
    if finite < 1 and (share := _finite_share(session.fetch(names, positive))) > finite:
        feeds, finite = positive, share  # the file takes roots or logarithms of them
    for name, array in feeds.items():
        if array.dtype.kind not in "iu" or array.size <= MAX_SWITCH_SIZE:
            continue
        for limit in _INTEGER_LIMITS:
            wider = feeds | {name: _distinct_integers(array, limit)}
            try:
                still_finite = _finite_share(session.fetch(names, wider)) >= finite
            except RuntimeFailedError:
                continue  # an index beyond a table, for example
            if still_finite:
                feeds = wider
                break
    return feeds


class _Extents(NamedTuple):
    """Extents of dynamic dimensions.

    Attributes:
        first: Of the first dimension.
        others: Of all others.
        doubled: Name of a dimension that is twice as long as the others; None for none.
    """

    first: int
    others: int
    doubled: str | None = None


def _candidate_extents(session: Session) -> Iterator[_Extents]:
    """The extents that are tried; at last one dimension after the other is the sum of two others.

    So the mask of a decoder is as long as its cache and its new tokens together.
    """
    yield from (_Extents(*extents) for extents in _DYNAMIC_EXTENTS)
    dims = (dim for _, _, dims in session.input_types for dim in dims)
    yield from (
        _Extents(*_EXTENTS_OF_SUMS, dim) for dim in dict.fromkeys(dims) if isinstance(dim, str)
    )


_MAX_ELEMENTS = 1 << 28
"""Number of elements of an input from which no data is generated for it: 2 GiB of numbers."""


def _arrays(session: Session, extents: _Extents) -> Feeds:
    """An array for each input."""
    random = np.random.default_rng(0)
    feeds: Feeds = {}
    named = {} if extents.doubled is None else {extents.doubled: 2 * extents.others}
    for name, kind, dims in session.input_types:
        dtype = _DTYPES.get(kind)
        if dtype is None:
            raise RuntimeFailedError(
                f"{session.path}: input {name} is a {kind}, for which no data can be "
                "generated: give a record with --record."
            )
        shape = []
        for position, dim in enumerate(dims):
            extent = extents.others if position else extents.first
            if isinstance(dim, str):
                extent = named.setdefault(dim, extent)  # equal names stand for equal extents
            shape.append(dim if isinstance(dim, int) else extent)
        # an extent of zero makes no array of any other extents
        if math.prod(filter(None, shape)) > _MAX_ELEMENTS or min(shape, default=0) < 0:
            extents_text = " x ".join(map(str, shape))
            raise RuntimeFailedError(
                f"{session.path}: input {name} is {extents_text}, for which no data is "
                "generated: give a record with --record."
            )
        feeds[name] = _fill(dtype, shape, random)
    return feeds


def _fill(dtype: str, shape: Iterable[int], random: np.random.Generator) -> Array:
    shape = tuple(shape)
    if dtype == "object":
        return np.full(shape, "a", dtype=object)
    if dtype == "bool":
        return np.ones(shape, dtype=bool)
    if "float" in dtype:
        return random.standard_normal(shape).astype(dtype)
    return mask_flags(math.prod(shape)).astype(dtype).reshape(shape)


def _distinct_integers(array: Array, limit: int) -> Array:
    """Integers of the array's shape and type, below a limit."""
    numbers = distinct_integers(array.size, min(limit, np.iinfo(array.dtype).max))
    return numbers.astype(array.dtype).reshape(array.shape)


def _finite_share(results: Iterable[object]) -> float:
    """Share (0-1) of the real numbers of some outputs that are finite."""
    arrays = (standard_type(a) for a in results if isinstance(a, np.ndarray))
    reals = [array for array in arrays if array.dtype.kind == "f"]
    finite = sum(int(np.isfinite(array).sum()) for array in reals)
    return finite / max(1, sum(array.size for array in reals))
