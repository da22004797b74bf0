"""Running one file of a comparison, with the values that are to be compared exposed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from modelexport.errors import RuntimeFailedError, UsageError
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.comparison.compared_file import Side
from modelexport.rewriter.comparison.quantisation_scales import Scales
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.feeds import Feeds, InputMismatchError, candidate_feeds
from modelexport.rewriter.execution.generated_feeds import generate_feeds
from modelexport.rewriter.execution.session import Session

BUDGET = 1 << 29
"""Bytes of values of one file that may be held at a time."""

_MOST_AT_ONCE = 256
_SKETCH = 64


class Seen:
    """What is remembered of a value.

    Attributes:
        shape: Its shape.
        bytes: What it takes in memory.
        real: Whether it holds real numbers.
        sketch: Some of its elements, the same ones for every array of one size.
    """

    def __init__(self, array: Array) -> None:
        self.shape = array.shape
        self.bytes = array.nbytes
        self.real = array.dtype.kind == "f"
        flat = array.reshape(-1)
        step = max(1, flat.size // _SKETCH)
        self.sketch = flat[::step].astype(np.float64) if flat.dtype != object else np.zeros(0)

    @property
    def size(self) -> int:
        """How many elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def distance(self, other: "Seen") -> float:
        """About how far both are apart, over the magnitude; infinite for other sizes."""
        if self.sketch.size != other.sketch.size or self.size != other.size:
            return float("inf")
        good = np.isfinite(self.sketch) & np.isfinite(other.sketch)
        left, right = self.sketch[good], other.sketch[good]
        norm = float(np.linalg.norm(left))
        error = float(np.linalg.norm(right - left))
        return error / norm if norm else (float("inf") if error else 0.0)


class Running:
    """One file in onnxruntime, as it stands, with values exposed.

    What it gives back comes from a run without that: in half precision, values that nobody looks
    at may never be rounded.

    Args:
        side: The file.
        names: The values.
        libraries: Custom operator libraries to load.

    Raises:
        RuntimeFailedError: onnxruntime does not load it.
    """

    def __init__(self, side: Side, names: Iterable[str], libraries: Sequence[str] = ()) -> None:
        self._side = side
        self._feeds: Feeds = {}
        weights = {w.name: w for w in side.model.graph.initializer}
        self._scales: dict[str, tuple[str, str]] = {}
        self._constants: dict[str, Array] = {}
        wanted = list(dict.fromkeys(names))
        scales = Scales(side.graph)
        for name in list(wanted):
            scale = scales.of(name)
            if scale is not None:
                self._scales[name] = scale
                wanted += [n for n in scale if n and n not in weights]
        for name in {n for scale in self._scales.values() for n in scale if n in weights}:
            array = side.container.array(weights[name])
            if array is not None:
                self._constants[name] = array
        self._session = _exposing(side, list(dict.fromkeys(wanted)), libraries)
        self._bare = _exposing(side, [], libraries)
        self._outputs = {value.name for value in side.model.graph.output}

    def feed(self, given: Sequence[tuple[str, Array]]) -> Feeds:
        """Find the way to feed it what the other file, or a record, was fed.

        Raises:
            RuntimeFailedError: It runs on it in no way.
            UsageError: Something does not fit.
        """
        failure: RuntimeFailedError | None = None
        try:
            for feeds in candidate_feeds(self._side.model.graph, given):
                try:
                    self._bare.run(feeds)
                except RuntimeFailedError as error:
                    failure = failure or error
                else:
                    self._feeds = feeds
                    return feeds
        except InputMismatchError as error:
            raise UsageError(f"{self._side.path}: {error}.") from error
        assert failure is not None
        raise failure

    def seen(self, names: Sequence[str]) -> dict[str, Seen]:
        """What is to be remembered of each value; values that are no tensors are left out."""
        found: dict[str, Seen] = {}
        start, largest = 0, 1
        while start < len(names):
            count = max(1, min(_MOST_AT_ONCE if start else 8, BUDGET // largest))
            for name, array in self.values(names[start : start + count]).items():
                found[name] = Seen(array)
                largest = max(largest, array.nbytes)
            start += count
        return found

    def values(self, names: Sequence[str]) -> dict[str, Array]:
        """The values themselves; quantised ones as the numbers that they stand for."""
        needed = list(names)
        for name in names:
            scale = self._scales.get(name, ())
            needed += [n for n in scale if n and n not in self._constants]
        needed = list(dict.fromkeys(needed))
        outputs = [name for name in needed if name in self._outputs]
        inner = [name for name in needed if name not in self._outputs]
        got: dict[str, Any] = {}
        for session, some in ((self._session, inner), (self._bare, outputs)):
            if some:  # of none onnxruntime gives all
                got |= zip(some, session.fetch(some, self._feeds), strict=True)
        arrays = {name: value for name, value in got.items() if isinstance(value, np.ndarray)}
        return {name: self._real(name, arrays) for name in names if name in arrays}

    def _real(self, name: str, arrays: Mapping[str, Array]) -> Array:
        array = arrays[name]
        if array.dtype.kind not in "iu" or name not in self._scales:
            return array
        scale, zero = (arrays.get(n, self._constants.get(n)) for n in self._scales[name])
        if scale is None or scale.size != 1:
            return array
        centred = array.astype(np.float32)
        if zero is not None and zero.size == 1:
            centred -= zero.astype(np.float32).reshape(())
        return centred * scale.astype(np.float32).reshape(())


def _exposing(side: Side, names: list[str], libraries: Sequence[str]) -> Session:
    shown = onnx.ModelProto()
    shown.CopyFrom(side.model)
    expose_values(shown.graph, names)
    source = session_source(side.container, shown)
    return Session(side.path, source=source, plain=True, libraries=libraries)


def generated(side: Side, libraries: Sequence[str]) -> list[tuple[str, Array]]:
    """Inputs on which a file runs.

    Raises:
        RuntimeFailedError: It runs on none that we know to generate.
    """
    source = session_source(side.container, side.model)
    session = Session(side.path, source=source, libraries=libraries)
    return list(generate_feeds(session, distinctive=True).items())


def chunks(sizes: Sequence[int]) -> Iterator[range]:
    """Neighbours that fit the budget together."""
    start, total = 0, 0
    for index, size in enumerate(sizes):
        if index > start and (total + size > BUDGET or index - start >= _MOST_AT_ONCE):
            yield range(start, index)
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))
