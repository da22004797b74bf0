"""Values of onnxruntime's optimised form that are values of the file, told without a run.

onnxruntime keeps the name of each value of the file that it still computes, and of each node that
it leaves alone. What it computes in another type is named after the value (`PREFIX_name`), and what
it computes besides gets new names. Matching compares fingerprints of values: a stand-in is made of
the name. Fingerprints do not depend on the order or the shape, so a value
that was only reshaped has the stand-in of what it was made of.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import QUANTILES, ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, walk_graphs
from modelexport.hierarchy.sketches import PROJECTIONS
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.observer import Fingerprints
from modelexport.rewriter.graph.operators import is_pass_through, is_quantiser

_SHAPE = (4 * QUANTILES,)
"""Shape of every stand-in: large enough to be distinctive."""

_Computation = tuple[str, str, bytes, tuple[str, ...], int]
"""Domain, operator, attributes, inputs, and which of the outputs: what tells a result."""


@dataclass(frozen=True)
class GraphValues:
    """The values of one graph.

    Attributes:
        sources: Each value that a node computes, to the value whose numbers it holds.
        computations: What computes a value, to the value.
        nodes: The nodes by name and operator.
    """

    sources: Mapping[str, str]
    computations: Mapping[_Computation, str]
    nodes: Mapping[tuple[str, str], onnx.NodeProto]

    @classmethod
    def of_file(cls, nodes: Sequence[onnx.NodeProto]) -> "GraphValues":
        """The values of a graph of the file."""
        sources: dict[str, str] = {}
        computations: dict[_Computation, str] = {}
        for node in nodes:
            for position, name in _outputs(node):
                passed = sources.get(node.input[0]) if _keeps_numbers(node, position) else None
                sources[name] = passed or name
                computations.setdefault(_computation(node, position, sources), sources[name])
        return cls(sources, computations, {(node.name, node.op_type): node for node in nodes})

    def find_in(self, nodes: Sequence[onnx.NodeProto]) -> dict[str, str]:
        """Each value of the optimised graph, to the value of the file whose numbers it holds.

        Args:
            nodes: The nodes of the optimised graph. A value that is none of the file's has its own
                name.
        """
        lost = self.sources.keys() - {name for node in nodes for name in node.output}
        known = frozenset(self.sources.values())
        sources: dict[str, str] = {}
        for node in nodes:
            for position, name in _outputs(node):
                base = name.partition("_")[2]
                passed = sources.get(node.input[0]) if _keeps_numbers(node, position) else None
                sources[name] = (
                    self.sources.get(name)
                    or (self.sources[base] if base in lost else None)
                    or (passed if passed in known else None)
                    or self.computations.get(_computation(node, position, sources))
                    or name
                )
        for node in reversed(nodes):
            for name, source in self._sources_of_inputs(node, sources):
                if sources.get(name) == name and name not in self.sources and source in known:
                    sources[name] = source
        return sources

    def _sources_of_inputs(
        self, node: onnx.NodeProto, sources: Mapping[str, str]
    ) -> Iterable[tuple[str, str]]:
        """What a node must read, as far as its result or its name tell."""
        if node.input and any(_keeps_numbers(node, n) for n, _ in _outputs(node)):
            yield node.input[0], sources[node.output[0]]
        kept = self.nodes.get((node.name, node.op_type)) if node.name else None
        if kept is not None and not is_quantiser(kept.op_type):
            pairs = zip(node.input, kept.input, strict=False)
            yield from ((name, self.sources[file]) for name, file in pairs if file in self.sources)


def named_values(file: onnx.ModelProto) -> Fingerprints:
    """A stand-in for the fingerprint of each value that a file computes."""
    return {
        (place.path, name): stand_in(source)
        for place in walk_graphs(file)
        for name, source in GraphValues.of_file(place.graph.node).sources.items()
    }


@dataclass(frozen=True)
class OptimisedValues:
    """The values of the optimised form of a file. They take the place of a run.

    Attributes:
        fingerprints: A stand-in for the fingerprint of each value.
    """

    fingerprints: Fingerprints

    @classmethod
    def of(cls, optimised: onnx.ModelProto, file: onnx.ModelProto) -> "OptimisedValues":
        """The values of the optimised form of a file."""
        graphs = {place.path: place.graph for place in walk_graphs(file)}
        return cls(
            {
                (place.path, name): stand_in(source)
                for place in walk_graphs(optimised)
                for name, source in GraphValues.of_file(
                    graphs[place.path].node if place.path in graphs else ()
                )
                .find_in(place.graph.node)
                .items()
            }
        )

    def observe(self, feeds: Feeds, infinity_threshold: float) -> Fingerprints:
        """The fingerprints of the inputs, and the stand-ins.

        Args:
            feeds: An array for each input.
            infinity_threshold: Magnitude from which elements of inputs count as infinite.
        """
        inputs = {
            (MAIN, name): fingerprint
            for name, array in feeds.items()
            if (fingerprint := value_fingerprint(array, infinity_threshold)) is not None
        }
        return self.fingerprints | inputs


def stand_in(name: str) -> ValueFingerprint:
    """A fingerprint that is equal for equal names, and far from that of any other name.

    >>> stand_in("x") == stand_in("x"), stand_in("x") == stand_in("y")
    (True, False)
    """
    digest = hashlib.shake_256(name.encode(errors="surrogateescape"))
    numbers = np.frombuffer(digest.digest(4 * (QUANTILES + PROJECTIONS)), "<i4")
    scaled = (numbers / np.iinfo(np.int32).max).astype("<f4")
    quantiles, sketch = np.sort(scaled[:QUANTILES]), scaled[QUANTILES:]
    return ValueFingerprint(_SHAPE, "f", quantiles.tobytes(), sketch.tobytes())


def _outputs(node: onnx.NodeProto) -> list[tuple[int, str]]:
    return [(position, name) for position, name in enumerate(node.output) if name]


def _keeps_numbers(node: onnx.NodeProto, position: int) -> bool:
    """Whether an output holds the numbers of the first input, in whatever order and type."""
    if position or not node.input:
        return False
    return is_pass_through(node.op_type) and not is_quantiser(node.op_type)


def _computation(node: onnx.NodeProto, position: int, sources: Mapping[str, str]) -> _Computation:
    attributes = b"".join(sorted(a.SerializeToString(deterministic=True) for a in node.attribute))
    inputs = tuple(sources.get(name, name) for name in node.input)
    return node.domain, node.op_type, attributes, inputs, position
