"""Running one file of a comparison with the compared values exposed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx

from modelexport.errors import RuntimeFailedError, UsageError
from modelexport.hierarchy.fingerprints import Array, standard_type
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.quantisation_scales import QuantisationScales, Scale
from modelexport.rewriter.comparison.thresholds import (
    FIRST_VALUES_AT_ONCE,
    MEMORY_BUDGET,
    MOST_VALUES_AT_ONCE,
)
from modelexport.rewriter.comparison.value_summary import ValueSummary
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.feeds import Feeds, InputMismatchError, candidate_feeds
from modelexport.rewriter.execution.generated_feeds import distinctive_feeds
from modelexport.rewriter.execution.session import Session

NamedArrays = list[tuple[str, Array]]
"""Inputs by name, in the order in which they were given or recorded."""


class FileRunner:
    """One file in onnxruntime, as it stands, with some of its values exposed.

    The outputs of the file itself come from a run without exposed values: in half precision,
    exposing a value may round it where the file alone would not.

    Args:
        file: The file.
        names: The values.
        libraries: Custom operator libraries to load.
        settled: Values in whose place others are given: see `ModuleGroups.settled`.

    Raises:
        RuntimeFailedError: onnxruntime does not load the file.
    """

    def __init__(
        self,
        file: ComparedFile,
        names: Iterable[str],
        libraries: Sequence[str] = (),
        settled: Mapping[str, str] | None = None,
    ) -> None:
        self._file = file
        self._settled = settled or {}
        names = list(dict.fromkeys([*names, *self._settled.values()]))
        scales = QuantisationScales(file.model.graph)
        self._scales: dict[str, Scale] = {
            name: scale for name in names if (scale := scales.of(name)) is not None
        }
        self._stored_scales = self._read_stored_scales()
        for scale in self._scales.values():
            names += self._computed(scale)
        self._session = _exposing_session(file, list(dict.fromkeys(names)), libraries)
        self._plain_session = _exposing_session(file, [], libraries)
        self._outputs = set(file.output_names)

    def _read_stored_scales(self) -> dict[str, Array | None]:
        """Scales and zero points that are initializers, with their values."""
        initializers = {tensor.name: tensor for tensor in self._file.model.graph.initializer}
        stored = {name for scale in self._scales.values() for name in scale if name in initializers}
        return {name: self._file.container.array(initializers[name]) for name in stored}

    def _computed(self, scale: Iterable[str]) -> list[str]:
        """Names of those scales and zero points that the file computes while it runs."""
        return [name for name in scale if name and name not in self._stored_scales]

    def stored_scale(self, name: str) -> Scale | None:
        """The scale of a quantised value whose scale and zero point are weights of the file."""
        scale = self._scales.get(name)
        return None if scale is None or self._computed(scale) else scale

    def find_feeds(self, arrays: Sequence[tuple[str, Array]]) -> Feeds:
        """Find a way to feed the file what the other file, or the recorded one, was fed.

        Raises:
            RuntimeFailedError: The file runs on the inputs in no way.
            UsageError: An input does not fit.
        """
        failure: RuntimeFailedError | None = None
        try:
            for feeds in candidate_feeds(self._file.model.graph, arrays):
                try:
                    self._plain_session.run(feeds)
                except RuntimeFailedError as error:
                    failure = failure or error
                else:
                    return feeds
        except InputMismatchError as error:
            raise UsageError(f"{self._file.path}: {error}.") from error
        assert failure is not None
        raise failure

    def summaries(self, names: Sequence[str], feeds: Feeds) -> dict[str, ValueSummary]:
        """A summary of each value; values that are no tensors are left out."""
        summaries: dict[str, ValueSummary] = {}
        start, largest = 0, 1
        while start < len(names):
            most = MOST_VALUES_AT_ONCE if start else FIRST_VALUES_AT_ONCE
            count = max(1, min(most, MEMORY_BUDGET // largest))
            for name, array in self.values(names[start : start + count], feeds).items():
                summaries[name] = ValueSummary.of(array)
                largest = max(largest, array.nbytes)
            start += count
        return summaries

    def values(self, names: Sequence[str], feeds: Feeds) -> dict[str, Array]:
        """The values; quantised ones as the real numbers that they stand for."""
        ends = {name: self._settled.get(name, name) for name in names}
        fetched = list(ends.values())
        for name in ends.values():
            fetched += self._computed(self._scales.get(name, ()))
        arrays = {n: standard_type(a) for n, a in self.stored_values(fetched, feeds).items()}
        return {name: self._real(end, arrays) for name, end in ends.items() if end in arrays}

    def stored_values(self, names: Sequence[str], feeds: Feeds) -> dict[str, Array]:
        """The tensors among the values, in the types in which the file holds them."""
        fetched = list(dict.fromkeys(names))
        outputs = [name for name in fetched if name in self._outputs]
        inner = [name for name in fetched if name not in self._outputs]
        results: dict[str, Any] = {}
        for session, part in ((self._session, inner), (self._plain_session, outputs)):
            if part:  # without names, onnxruntime returns every output
                results |= zip(part, session.fetch(part, feeds), strict=True)
        return {name: value for name, value in results.items() if isinstance(value, np.ndarray)}

    def _real(self, name: str, arrays: Mapping[str, Array]) -> Array:
        """A value as real numbers, if it is quantised with one scale."""
        array = arrays[name]
        if array.dtype.kind not in "iu" or name not in self._scales:
            return array
        scale, zero_point = (
            arrays.get(part, self._stored_scales.get(part)) for part in self._scales[name]
        )
        if scale is None or scale.size != 1:
            return array
        centred = array.astype(np.float32)
        if zero_point is not None and zero_point.size == 1:
            centred -= zero_point.astype(np.float32).reshape(())
        return centred * scale.astype(np.float32).reshape(())


def _exposing_session(file: ComparedFile, names: list[str], libraries: Sequence[str]) -> Session:
    """A session in which some values are outputs, beside those of the file."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    expose_values(model.graph, names)
    source = session_source(file.container, model)
    return Session(file.path, source=source, plain=True, libraries=libraries)


def generate_inputs(file: ComparedFile, libraries: Sequence[str]) -> NamedArrays:
    """Inputs on which a file runs.

    Raises:
        RuntimeFailedError: The file runs on none of the inputs that we can generate.
    """
    return list(distinctive_feeds(file.path, file.session_source(), libraries).items())


def memory_chunks(sizes: Sequence[int]) -> Iterator[range]:
    """Ranges of consecutive values that fit the memory budget together.

    Args:
        sizes: Bytes of each value.
    """
    start, total = 0, 0
    for index, size in enumerate(sizes):
        full = total + size > MEMORY_BUDGET or index - start >= MOST_VALUES_AT_ONCE
        if index > start and full:
            yield range(start, index)
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))
