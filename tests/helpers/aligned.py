"""A file and a record as ONNX text, for tests of the alignment; values are given as arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array, value_fingerprint
from modelexport.rewriter.graph.graph_view import ContractedGraph
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair, match_inputs
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.evidence.comparison_modes import FULL_PRECISION
from modelexport.rewriter.matching.evidence.value_side import ValueSide
from modelexport.rewriter.matching.evidence.values import ValueMatch, match_values
from tests.helpers.handmade import parse

Arrays = Mapping[str, Array]


class Aligned:
    """A file and a record, whose nodes are addressed by their names.

    Args:
        file, record: ONNX text of both graphs.
        weights: Initializers of the file to the recorded ones that they may be.
        file_values, record_values: What values of the main graphs hold, where that is known.
        rejects_mismatch: Whether values that differ veto a pair.
        quantised: Whether the values are compared as those of a quantised file.
        torch_op_types: Whether the record is of an eager run.
    """

    def __init__(
        self,
        file: str,
        record: str,
        *,
        weights: Mapping[str, Iterable[str]] | None = None,
        file_values: Arrays | None = None,
        record_values: Arrays | None = None,
        rejects_mismatch: bool = True,
        quantised: bool = False,
        torch_op_types: bool = False,
    ) -> None:
        self.file, self.record = ModelGraph(parse(file)), ModelGraph(parse(record))
        self._weights = weights or {}
        self._file_values, self._record_values = file_values, record_values
        self._rejects_mismatch = rejects_mismatch
        self._quantised = quantised
        self.record.indexed.has_torch_op_types = torch_op_types  # as that of an eager record

    @cached_property
    def graphs(self) -> GraphPair:
        """Both graphs, with operators that pass values through left out."""
        file, record = self.file.indexed, self.record.indexed
        weights = {
            file.value_of("", name): frozenset(record.value_of("", other) for other in others)
            for name, others in self._weights.items()
        }
        return GraphPair(
            ContractedGraph(file, {}),
            ContractedGraph(record, {}),
            self.values,
            weights,
            match_inputs(file, record, None),
        )

    @cached_property
    def values(self) -> ValueMatch | None:
        """The values of both, compared; None where none are given."""
        if self._file_values is None or self._record_values is None:
            return None
        match = match_values(
            _side(self.file.indexed, self._file_values),
            _side(self.record.indexed, self._record_values),
            FULL_PRECISION,
        )
        match = match.as_quantised() if self._quantised else match
        return replace(match, rejects_mismatch=self._rejects_mismatch)

    def node(self, name: str) -> int:
        """Number of a node of the file."""
        return [node.name for node in self.file.nodes].index(name)

    def op(self, name: str) -> int:
        """Number of a recorded op."""
        return [node.name for node in self.record.nodes].index(name)

    def pairs(self, seeds: Mapping[str, str]) -> Pairs:
        """Pairs of some nodes and ops, given by their names."""
        pairs = Pairs()
        for node, op in seeds.items():
            pairs.add_pair(self.node(node), self.op(op), EvidenceKind.NAMES)
        return pairs

    def by_op(self, node: str, distances: Mapping[str, float]) -> dict[int, dict[int, float]]:
        """Candidates of one node, as the aligner takes them."""
        return {self.node(node): {self.op(op): distance for op, distance in distances.items()}}

    def named(self, pairs: Pairs) -> dict[str, str]:
        """The pairs by name."""
        return {self.node_name(node): self.op_name(op) for node, op in sorted(pairs.ops.items())}

    def node_name(self, node: int) -> str:
        return self.file.nodes[node].name

    def op_name(self, op: int) -> str:
        return self.record.nodes[op].name


def _side(graph: IndexedGraph, arrays: Arrays) -> ValueSide:
    fingerprints = {}
    for name, array in arrays.items():
        value, fingerprint = graph.value_of("", name), value_fingerprint(array)
        if value == NONE or fingerprint is None:
            raise ValueError(f"{name} is no value of the main graph, or has no fingerprint")
        fingerprints[value] = fingerprint
    return ValueSide(graph, fingerprints)


def numbers(seed: int, shape: tuple[int, ...] = (8, 16)) -> Array:
    """Real numbers that no other seed gives."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def chain(length: int, prefix: str = "n", first: str = "x", last: str = "y") -> str:
    """Lines of nodes in a row, named by a prefix and their number, from one value to another."""
    values = [first, *(f"{prefix}v{i}" for i in range(1, length)), last]
    return "\n".join(f"[{prefix}{i}] {values[i + 1]} = Neg ({values[i]})" for i in range(length))
