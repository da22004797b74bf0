"""Evidence *weights*: initializers are matched by name, else by what they hold.

A weight that one recorded op reads tells that a node which reads it is this op. The sketch of a
weight (`hierarchy.sketches`) has a direction that rounding hardly turns and a scale does not turn
at all, so a weight is matched in 16, 8 or 4 bits, and transposed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Record, Tensor
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.dequantised_weights import dequantise
from modelexport.rewriter.matching.evidence.retraining import (
    FULL_PRECISION_TYPES,
    element_count,
    number_distance,
)
from modelexport.rewriter.matching.evidence.weight_contents import (
    Candidates,
    match_contents,
    match_merged,
    match_parts,
)
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights
from modelexport.rewriter.matching.thresholds import (
    EXACT_WEIGHT,
    MINIMUM_WEIGHT_ELEMENTS,
    RETRAINED_SHARE,
    SAMPLED_WEIGHTS,
)


@dataclass(frozen=True)
class WeightMatch:
    """Which recorded weights the weights of a file are.

    A distinctive weight is one that has a name which the record has too, or enough different
    numbers to be found by these.

    Attributes:
        candidates: Weights of the file to the recorded weights that they may be.
        merged_from: Concatenated weights of the file to the recorded weights that they are made of.
        owners: Weights of the file to the module whose parameter they hold.
        matched_elements: Elements of distinctive weights that are matched.
        distinctive_elements: Elements of all distinctive weights.
        compared: Weights in full precision that were compared with the recorded numbers.
        differing: Names of those of them that hold other numbers.
    """

    candidates: Mapping[int, frozenset[int]] = field(default_factory=dict)
    merged_from: Mapping[int, frozenset[int]] = field(default_factory=dict)
    owners: Mapping[int, str] = field(default_factory=dict)
    matched_elements: int = 0
    distinctive_elements: int = 0
    compared: int = 0
    differing: tuple[str, ...] = ()

    @property
    def matched_share(self) -> float:
        """Share (0-1) of the elements of distinctive weights that are matched."""
        return self.matched_elements / max(1, self.distinctive_elements)

    @property
    def retrained(self) -> bool:
        """Whether the weights are those of another training of the model."""
        return len(self.differing) > RETRAINED_SHARE * self.compared


class WeightMatcher:
    """Compares the weights of a file with those of a record.

    Args:
        graph: The nodes of the file.
        file: The file.
        recorded: The recorded graph.
        record: The record.
        read: Reads an initializer.
    """

    def __init__(
        self,
        graph: ModelGraph,
        file: IndexedGraph,
        recorded: IndexedGraph,
        record: Record,
        read: ReadInitializer,
    ) -> None:
        self._nodes = graph.nodes
        self._file = file
        self._recorded = recorded
        self._read = read
        self._tree = record.tree
        tensors = {
            recorded.value_of(tensor.graph, tensor.name): tensor for tensor in record.tensors
        }
        absent = enumerate(record.absent, len(recorded.value_names))  # numbers that no value has
        self._tensors: dict[int, Tensor] = tensors | dict(absent)
        self._weights = dict(_initializers(graph, file))

    def match(self) -> WeightMatch:
        """Find each weight in the record."""
        named, own_names = self._match_names()
        arrays = self._read_distinctive(named)
        by_size = self._recorded_by_size()
        content = match_contents(arrays, by_size)
        merged = match_merged(content.unmatched, by_size)
        split = match_parts(content.unmatched, merged, self._file, by_size)
        candidates = named | content.candidates | split
        large = [v for v in own_names if element_count(self._weights[v]) >= MINIMUM_WEIGHT_ELEMENTS]
        exact_types = [v for v in content.candidates if self._is_full_precision(v)]
        compared, differing = self._compare_numbers(large, candidates)
        others, more_differing = self._compare_numbers(exact_types, candidates, content.exact)
        elements = sum(element_count(self._weights[value]) for value in named)
        found = (*content.candidates, *merged, *split)
        return WeightMatch(
            candidates=self._without_absent(candidates),
            merged_from=merged,
            owners=self._find_owners(candidates),
            matched_elements=elements + sum(arrays[value].size for value in found),
            distinctive_elements=elements + sum(array.size for array in arrays.values()),
            compared=compared + others,
            differing=(*differing, *more_differing),
        )

    def _match_names(self) -> tuple[Candidates, list[int]]:
        """Weights that are called as recorded, and those of them with the name of a parameter.

        A name that an exporter made up may stand for another weight in another file: it counts
        when the numbers agree. The name of a parameter counts always.
        """
        candidates: Candidates = {}
        own_names = []
        for value, tensor in self._weights.items():
            recorded = self._recorded.value_of(*self._file.value_names[value])
            known = self._tensors.get(recorded)
            if known is None or known.weight is None or known.weight.count != element_count(tensor):
                continue
            if known.name == known.parameter:
                candidates[value] = frozenset([recorded])
                own_names.append(value)
            elif self._holds_same_numbers(value, known):
                candidates[value] = frozenset([recorded])
        return candidates, own_names

    def _compare_numbers(
        self, values: Sequence[int], candidates: Candidates, exact: Collection[int] = ()
    ) -> tuple[int, list[str]]:
        """Compare a sample of matched weights with the recorded numbers.

        Args:
            values: The weights.
            candidates: What they may be.
            exact: Those that are known to hold the recorded numbers.

        Returns:
            How many were compared, and the names of those that hold other numbers.
        """
        sample = values[:: max(1, -(-len(values) // SAMPLED_WEIGHTS))]
        differing = [
            self._file.value_names[value][1]
            for value in sample
            if value not in exact
            and not any(
                self._holds_same_numbers(value, self._tensors[label]) for label in candidates[value]
            )
        ]
        return len(sample), differing

    def _holds_same_numbers(self, value: int, known: Tensor) -> bool:
        """Whether a weight holds the recorded numbers, in the precision in which it is stored."""
        array = self._read(self._weights[value])
        if array is None or known.weight is None:
            return False
        distance = number_distance(array, known.weight)
        if distance is None:
            return False
        if self._is_full_precision(value):
            return distance <= EXACT_WEIGHT
        return bool(RecordedWeights([0], [known]).match([array])[0].labels)

    def _is_full_precision(self, value: int) -> bool:
        return self._weights[value].data_type in FULL_PRECISION_TYPES

    def _read_distinctive(self, named: Collection[int]) -> dict[int, Array]:
        """The numbers of weights whose names do not tell, if these are distinctive."""
        arrays = {}
        for value, tensor in self._weights.items():
            if value not in named and element_count(tensor) >= MINIMUM_WEIGHT_ELEMENTS:
                array = self._read_dequantised(value)
                if (
                    array is not None
                    and array.dtype.kind in {"f", "i", "u"}
                    and not _is_plain(array)
                ):
                    arrays[value] = array
        return arrays

    def _read_dequantised(self, value: int) -> Array | None:
        """The numbers that a weight stands for."""
        stored = self._read(self._weights[value])
        if stored is None or stored.dtype.kind == "f":
            return stored
        for node in self._file.consumers[value]:
            read = partial(self._read_by_name, self._file.graph_paths[node])
            array = dequantise(self._nodes[node], stored, read)
            if array is not None:
                return array
        return stored

    def _read_by_name(self, graph: str, name: str) -> Array | None:
        tensor = self._weights.get(self._file.value_of(graph, name))
        return None if tensor is None else self._read(tensor)

    def _recorded_by_size(self) -> dict[int, RecordedWeights]:
        """The recorded weights that have a sketch, by their number of elements."""
        groups: dict[int, tuple[list[int], list[Tensor]]] = defaultdict(lambda: ([], []))
        for label, tensor in self._tensors.items():
            if tensor.weight is not None and tensor.weight.sketch:
                labels, tensors = groups[tensor.weight.count]
                labels.append(label)
                tensors.append(tensor)
        return {size: RecordedWeights(*group) for size, group in groups.items()}

    def _find_owners(self, candidates: Candidates) -> dict[int, str]:
        """The module of each weight whose candidates are all parameters of one."""
        owners = {}
        for value, labels in candidates.items():
            parameters = {self._tensors[label].parameter for label in labels}
            modules = {None if p is None else self._tree.owner(p) for p in parameters}
            if len(modules) == 1 and (owner := modules.pop()) is not None:
                owners[value] = owner
        return owners

    def _without_absent(self, candidates: Candidates) -> Candidates:
        """Candidates that the recorded graph has; the others only tell the owner."""
        numbers = len(self._recorded.value_names)
        present = {
            value: frozenset(label for label in labels if label < numbers)
            for value, labels in candidates.items()
        }
        return {value: labels for value, labels in present.items() if labels}


def _is_plain(array: Array) -> bool:
    """Whether all numbers are equal."""
    if array.item(0) != array.item(array.size - 1):
        return False
    return bool(array.min() == array.max())


def _initializers(graph: ModelGraph, file: IndexedGraph) -> Iterator[tuple[int, onnx.TensorProto]]:
    for located in graph.graphs:
        if isinstance(located.graph, onnx.GraphProto):
            for tensor in located.graph.initializer:
                yield file.value_of(located.path, tensor.name), tensor
