"""What a file computes on the recorded probe inputs: a fingerprint of every value.

The file runs in onnxruntime as it stands, unoptimised, with the outputs of all its nodes
exposed. No runtime exposes what is inside subgraphs: each of these runs by itself. Running a file
executes it: `--no-run` is for files that are not to be trusted.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import (
    Array,
    ValueFingerprint,
    value_fingerprint,
    value_fingerprints,
)
from modelexport.hierarchy.graph_paths import MAIN, has_subgraphs, subgraphs
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.hierarchy.subgraphs import SubgraphRunner, extract_subgraph, names_read
from modelexport.rewriter.container import OnnxContainer, SessionSource, session_source
from modelexport.rewriter.execution.feeding import Feeds
from modelexport.rewriter.execution.recorded_values import Recalling
from modelexport.rewriter.execution.runtime import Session
from modelexport.support.progress import step

Prints = dict[tuple[str, str], ValueFingerprint]
"""Graph path and name of a value to its fingerprint."""

_THREADS = 2
"""Threads that make fingerprints."""

_BUDGET = 1 << 30
"""Bytes of values that may be held at a time."""


def expected_bytes(record: Record) -> int:
    """What all recorded values together take in memory."""
    return sum(4 * known.size for known in recorded_values(record))


def recorded_values(record: Record) -> Iterator[ValueFingerprint]:
    """The fingerprints of all recorded values."""
    return (known for op in record.ops for known in op.values if known is not None)


class Observer:
    """Runs one file, every value exposed.

    Args:
        container: The file.
        model: Its model: the container's skeleton, or what became of that.
        expected_bytes: Of all its values together, as far as the record tells; decides in how
            many passes they are fetched.
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
    ) -> None:
        self._container = container
        self._model = model
        self._passes = 1 + expected_bytes // _BUDGET
        self._libraries = tuple(libraries)
        self._recorded = recorded
        self._sessions: list[tuple[list[str], Session]] = []
        self._prepared: SessionSource | None = None

    def prepare(self) -> None:
        """Make what is loaded first; what is left is the runtime's work, and needs no Python."""
        if self._parts and not self._sessions:
            self._prepared = self._exposing(self._model, self._parts[0])

    def prints(self, feeds: Feeds, infinity_threshold: float) -> Prints:
        """The fingerprint of every value of the main graph, and of what subgraphs compute first.

        Raises:
            RuntimeFailedError: onnxruntime cannot load or run the file.
        """
        step(f"running {self._container.path.name}")
        found: Prints = {}
        kept = dict(feeds)
        for values in self.values(feeds):
            prints = self._fingerprints(list(values.values()), infinity_threshold)
            for name, known in zip(values, prints, strict=True):
                if known is not None:
                    found[MAIN, name] = known
            kept |= {name: values[name] for name in self._read_in_subgraphs & values.keys()}
        for name, array in feeds.items():
            known = value_fingerprint(array, infinity_threshold)
            if known is not None:
                found[MAIN, name] = known
        if self._read_in_subgraphs:
            found |= self._prints_in_subgraphs(kept, infinity_threshold)
        return found

    def _fingerprints(
        self, arrays: list[Array], infinity_threshold: float
    ) -> list[ValueFingerprint | None]:
        if infinity_threshold == INFINITY_THRESHOLD:  # as was recorded
            return self._recalling.fingerprints(arrays, threads=_THREADS)
        return value_fingerprints(arrays, infinity_threshold, threads=_THREADS)

    @cached_property
    def _recalling(self) -> Recalling:
        return Recalling(self._recorded)

    @cached_property
    def _read_in_subgraphs(self) -> set[str]:
        """What subgraphs may read of the main graph, and what decides how they run."""
        found: set[str] = set()
        for node in self._model.graph.node:
            for _, subgraph in subgraphs(node) if has_subgraphs(node) else ():
                found |= {
                    *node.input,
                    *names_read(subgraph),
                    *(value.name for value in subgraph.output),
                }
        return found

    def _prints_in_subgraphs(self, known: Feeds, infinity_threshold: float) -> Prints:
        """Of what nodes in subgraphs make when these run first, each subgraph by itself.

        Where one cannot, its values stay unknown, as those of the main graph are when the file
        cannot run.
        """
        read = self._container.array
        weights = {
            tensor.name: array
            for tensor in self._model.graph.initializer
            if tensor.name in self._read_in_subgraphs and (array := read(tensor)) is not None
        }
        looking = SubgraphRunner(
            self._run_alone, read, once=True, infinity_threshold=infinity_threshold
        )
        looking.look(self._model.graph, weights | known)
        return looking.first

    def _run_alone(self, graph: onnx.GraphProto, given: Mapping[str, Array]) -> dict[str, Array]:
        shown, fed = extract_subgraph(self._model, graph, given)
        names = [name for node in graph.node for name in node.output if name]
        if not names:
            return {}
        session = self._session(self._exposing(shown, names))
        pairs = zip(names, session.fetch(names, fed), strict=True)
        return {name: value for name, value in pairs if isinstance(value, np.ndarray)}

    def values(self, feeds: Feeds) -> Iterator[dict[str, Array]]:
        """Every value of the main graph, a part of them at a time."""
        for names, session in self._loaded():
            pairs = zip(names, session.fetch(names, feeds), strict=True)
            yield {name: value for name, value in pairs if isinstance(value, np.ndarray)}

    def _loaded(self) -> Iterator[tuple[list[str], Session]]:
        """Sessions that expose a part of the values each; kept when there is just one."""
        if self._sessions:
            yield from self._sessions
            return
        for names in self._parts:
            source = self._prepared or self._exposing(self._model, names)
            self._prepared = None
            loaded = names, self._session(source)
            if len(self._parts) == 1:
                self._sessions.append(loaded)
            yield loaded

    @cached_property
    def _parts(self) -> list[list[str]]:
        """The values of the main graph, by the pass in which they are fetched."""
        every = [name for node in self._model.graph.node for name in node.output if name]
        size = -(-max(1, len(every)) // self._passes)
        return [every[start : start + size] for start in range(0, len(every), size)]

    def _exposing(self, model: onnx.ModelProto, names: list[str]) -> SessionSource:
        """A model with some values among its outputs."""
        shown = onnx.ModelProto()
        shown.CopyFrom(model)
        declared = {value.name for value in shown.graph.output}
        shown.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in declared)
        return session_source(self._container, shown)

    def _session(self, source: SessionSource) -> Session:
        path = self._container.path
        return Session(path, source=source, plain=True, libraries=self._libraries)
