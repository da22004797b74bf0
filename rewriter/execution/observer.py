"""What a file computes on given inputs: a fingerprint of every value.

The file runs in onnxruntime as it is, without optimisations, and with the outputs of all its
nodes exposed. onnxruntime exposes nothing from inside subgraphs; each of these runs as a model of
its own. Running a file executes it: `--no-run` is for files that are not to be trusted.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
import onnx

from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.fingerprints import (
    Array,
    ValueFingerprint,
    value_fingerprint,
    value_fingerprints,
)
from modelexport.hierarchy.graph_paths import MAIN, has_subgraphs, subgraphs
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.hierarchy.subgraph_runner import SubgraphRunner
from modelexport.hierarchy.subgraphs import (
    Arrays,
    computed_names,
    expose_values,
    extract_subgraph,
    names_read,
)
from modelexport.rewriter.container import OnnxContainer, SessionSource, session_source
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.recorded_value_index import RecordedValueIndex
from modelexport.rewriter.execution.session import Session
from modelexport.rewriter.execution.value_parts import value_parts
from modelexport.support.progress import report_step

Fingerprints = dict[tuple[str, str], ValueFingerprint]
"""Graph path and name of a value to its fingerprint."""

_FINGERPRINT_THREADS = 2
"""Number of threads that compute fingerprints."""


def recorded_values(record: Record) -> Iterator[ValueFingerprint]:
    """The fingerprints of all recorded values."""
    return (value for op in record.ops for value in op.values if value is not None)


def expected_bytes(record: Record) -> int:
    """Bytes that all recorded values take together, at 4 bytes an element."""
    return sum(4 * value.size for value in recorded_values(record))


class Observer:
    """Runs one file with every value exposed.

    Args:
        container: The file.
        model: Its model: the container's skeleton, or what was made of that.
        expected_bytes: Bytes that all its values take together, as far as a record tells.
            It decides in how many passes they are fetched.
        memory: Maximum bytes of values that are in memory at one time, about.
        libraries: Custom operator libraries to load.
        recorded: Fingerprints that most of its values are expected to have.
    """

    def __init__(
        self,
        container: OnnxContainer,
        model: onnx.ModelProto,
        expected_bytes: int,
        libraries: Iterable[str] = (),
        recorded: Iterable[ValueFingerprint] = (),
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        self._container = container
        self._model = model
        self._passes = 1 + expected_bytes // memory
        self._libraries = tuple(libraries)
        self._recorded = recorded
        self._only_session: Session | None = None
        self._prepared: SessionSource | None = None

    def prepare(self) -> None:
        """Build the first model to load. The remaining work runs in onnxruntime, without Python."""
        if self._parts and self._only_session is None:
            self._prepared = self._exposed(self._model, self._parts[0])

    def fingerprints(self, feeds: Feeds, infinity_threshold: float) -> Fingerprints:
        """The fingerprint of each value of the main graph, and of what subgraphs compute first.

        Args:
            feeds: An array for each input.
            infinity_threshold: Magnitude from which numbers count as infinite.

        Raises:
            RuntimeFailedError: onnxruntime cannot load or run the file.
        """
        report_step(f"running {self._container.path.name}{self._told_passes()}")
        fingerprints: Fingerprints = {}
        seen_by_subgraphs = dict(feeds)
        for values in self._values(feeds):
            computed = self._fingerprints_of(list(values.values()), infinity_threshold)
            for name, fingerprint in zip(values, computed, strict=True):
                if fingerprint is not None:
                    fingerprints[MAIN, name] = fingerprint
            seen_by_subgraphs |= {n: values[n] for n in self._read_by_subgraphs & values.keys()}
        for name, array in feeds.items():
            fingerprint = value_fingerprint(array, infinity_threshold)
            if fingerprint is not None:
                fingerprints[MAIN, name] = fingerprint
        if self._read_by_subgraphs:
            fingerprints |= self._run_subgraphs(seen_by_subgraphs, infinity_threshold)
        return fingerprints

    def _told_passes(self) -> str:
        """The part of the progress text about passes; empty for a single pass."""
        passes = len(self._parts)
        if passes < 2:
            return ""
        return f" {passes} times: its values take more than --memory allows at a time"

    def _fingerprints_of(
        self, arrays: list[Array], infinity_threshold: float
    ) -> list[ValueFingerprint | None]:
        if infinity_threshold == INFINITY_THRESHOLD:  # the one that recorded values have
            return self._recorded_index.fingerprints(arrays, threads=_FINGERPRINT_THREADS)
        return value_fingerprints(arrays, infinity_threshold, threads=_FINGERPRINT_THREADS)

    @cached_property
    def _recorded_index(self) -> RecordedValueIndex:
        return RecordedValueIndex(self._recorded)

    @cached_property
    def _read_by_subgraphs(self) -> set[str]:
        """Values of the main graph that subgraphs read, or that decide how they run."""
        names: set[str] = set()
        for node in self._model.graph.node:
            for _, subgraph in subgraphs(node) if has_subgraphs(node) else ():
                names.update(node.input, names_read(subgraph))
                names.update(value.name for value in subgraph.output)
        return names

    def _run_subgraphs(self, values: Feeds, infinity_threshold: float) -> Fingerprints:
        """Fingerprints of what nodes in subgraphs compute when these run first.

        Where a subgraph cannot run, its values stay unknown, like those of a file that cannot.
        """
        read = self._container.array
        initializers = {
            tensor.name: array
            for tensor in self._model.graph.initializer
            if tensor.name in self._read_by_subgraphs and (array := read(tensor)) is not None
        }
        runner = SubgraphRunner(
            self._run_subgraph, read, first_only=True, infinity_threshold=infinity_threshold
        )
        return runner.run(self._model.graph, initializers | values).first

    def _run_subgraph(self, subgraph: onnx.GraphProto, values: Arrays) -> dict[str, Array]:
        """What the nodes of a subgraph compute when it runs as a model of its own."""
        names = computed_names(subgraph)
        if not names:
            return {}
        model, feeds = extract_subgraph(self._model, subgraph, values)
        return _fetch_arrays(self._session(self._exposed(model, names)), names, feeds)

    def _values(self, feeds: Feeds) -> Iterator[dict[str, Array]]:
        """Every value of the main graph, those of one pass at a time."""
        for names in self._parts:
            yield _fetch_arrays(self._session_for(names), names, feeds)

    def _session_for(self, names: list[str]) -> Session:
        """A session that exposes the values of one pass; kept when there is only one pass."""
        if self._only_session is not None:
            return self._only_session
        source = self._prepared or self._exposed(self._model, names)
        self._prepared = None
        session = self._session(source)
        if len(self._parts) == 1:
            self._only_session = session
        return session

    @cached_property
    def _parts(self) -> list[list[str]]:
        """Names of the main graph's values, by the pass in which they are fetched."""
        return value_parts(self._model.graph, self._passes)

    def _exposed(self, model: onnx.ModelProto, names: list[str]) -> SessionSource:
        """A model with some values among its outputs."""
        exposed = onnx.ModelProto()
        exposed.CopyFrom(model)
        expose_values(exposed.graph, names)
        return session_source(self._container, exposed)

    def _session(self, source: SessionSource) -> Session:
        path = self._container.path
        return Session(path, source=source, plain=True, libraries=self._libraries)


def _fetch_arrays(session: Session, names: list[str], feeds: Feeds) -> dict[str, Array]:
    """Some values by name, without those that are no tensors."""
    values = zip(names, session.fetch(names, feeds), strict=True)
    return {name: value for name, value in values if isinstance(value, np.ndarray)}
