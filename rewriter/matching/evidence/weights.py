"""Evidence *weights*: initializers are matched by name, else by what they hold.

If only one recorded op reads a weight, a node that reads it is this op. The sketch of a weight
(`hierarchy.sketches`) has a direction. Rounding hardly changes it, and a scale does not change it
at all. So weights are matched in 16, 8 or 4 bits, and transposed.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Record, Tensor
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.dequantised_weights import dequantise
from modelexport.rewriter.matching.evidence.idle_weights import find_idle_weights
from modelexport.rewriter.matching.evidence.merged_weights import (
    WeightsBySize,
    group_by_size,
)
from modelexport.rewriter.matching.evidence.new_weights import find_new_weights
from modelexport.rewriter.matching.evidence.retraining import (
    FULL_PRECISION_TYPES,
    element_count,
    holds_codes,
    is_halved,
    is_rounded,
)
from modelexport.rewriter.matching.evidence.weight_agreement import (
    Agreement,
    ComparedSample,
    ComparedWeight,
    compare_numbers,
)
from modelexport.rewriter.matching.evidence.weight_contents import (
    Candidates,
    match_contents,
    match_merged,
    match_parts,
    match_rounded,
)
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.evidence.weight_owners import candidates_of_graph, find_owners
from modelexport.rewriter.matching.evidence.weight_tensors import (
    evenly_sampled,
    find_matrices,
    initializers,
    is_plain,
)
from modelexport.rewriter.matching.thresholds import MINIMUM_WEIGHT_ELEMENTS


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
        self._record = record
        self._read = read
        tensors = {
            recorded.value_of(tensor.graph, tensor.name): tensor for tensor in record.tensors
        }
        # numbers that no value has
        self._absent = dict(enumerate(record.absent, len(recorded.value_names)))
        self._tensors: dict[int, Tensor] = tensors | self._absent
        self._weights = dict(initializers(graph, file))

    def match(self) -> WeightMatch:
        """Find each weight in the record."""
        by_size = group_by_size(self._tensors)
        named, own_names = self._match_names()
        misnamed = self._find_misnamed(own_names, by_size)
        for value in misnamed:
            del named[value]
        arrays = self._read_distinctive(named)
        content = match_contents(arrays, by_size)
        merged = match_merged(content.unmatched, by_size)
        split = match_parts(content.unmatched, merged, self._file, by_size)
        candidates = named | content.candidates | split
        candidates |= self._match_rounded(content.unmatched, candidates | merged, by_size)
        large = [v for v in own_names if v in named and self._is_large(v)]
        exact_types = [v for v in content.candidates if self._is_full_precision(v)]
        sample = self._compare_numbers(large, candidates)
        sample = sample.joined(self._compare_numbers(exact_types, candidates, content.exact))
        elements = sum(element_count(self._weights[value]) for value in named)
        by_numbers = (*content.candidates, *merged, *split)
        unmatched = {v: a.size for v, a in arrays.items() if v not in candidates | merged}
        rounded = any(self._is_large(v) and is_rounded(t) for v, t in self._weights.items())
        owners = find_owners(candidates, self._tensors, self._record.tree)
        return WeightMatch(
            candidates=candidates_of_graph(len(self._recorded.value_names), candidates),
            merged_from=merged,
            owners=owners,
            # a quantised file has scales, and weights that are not recognised
            new=frozenset()
            if rounded or sample.has_few_digits
            else self._find_new(unmatched, candidates, merged),
            idle=find_idle_weights(
                self._record, candidates, self._absent, owners, find_matrices(self._weights)
            ),
            plain=frozenset(v for v, labels in candidates.items() if self._are_plain(labels)),
            rounded=rounded,
            has_few_digits=sample.has_few_digits,
            halved=self._are_halved(candidates, content.exact),
            coded=any(self._is_large(v) and holds_codes(t) for v, t in self._weights.items()),
            misnamed=bool(misnamed),
            matched_elements=elements + sum(arrays[value].size for value in by_numbers),
            distinctive_elements=elements + sum(array.size for array in arrays.values()),
            compared=sample.compared,
            differing=sample.differing,
        )

    def _match_rounded(
        self, unmatched: Mapping[int, Array], matched: Candidates, by_size: WeightsBySize
    ) -> Candidates:
        """Weights in whole numbers that are none of the matched ones, to recorded ones."""
        stored = {
            value: array
            for value, array in unmatched.items()
            if value not in matched and holds_codes(self._weights[value])
        }
        return match_rounded(stored, set().union(*matched.values()), by_size)

    def _match_names(self) -> tuple[Candidates, list[int]]:
        """Weights that are called as recorded, and those of them with the name of a parameter.

        A name that an exporter made up may stand for another weight in another file: it counts
        when the numbers agree. The name of a parameter counts always.
        """
        candidates: Candidates = {}
        own_names = []
        for value, tensor in self._weights.items():
            label = self._label(value)
            recorded = self._tensors.get(label)
            if (
                recorded is None
                or recorded.weight is None
                or recorded.weight.count != element_count(tensor)
            ):
                continue
            if recorded.name == recorded.parameter:
                candidates[value] = frozenset([label])
                own_names.append(value)
            elif self._holds_same_numbers(value, recorded):
                candidates[value] = frozenset([label])
        return candidates, own_names

    def _find_misnamed(self, own_names: Sequence[int], by_size: WeightsBySize) -> list[int]:
        """Weights with the name of a parameter, where names do not tell which parameter they are.

        A layer that was removed or added renames those after it. That is the case when a weight
        holds the recorded numbers of another. Then a name counts only with its own numbers. All
        are compared only where recorded names are missing or a sample shows it, so that other files
        are read no further.
        """
        large = [v for v in own_names if self._is_large(v) and self._is_full_precision(v)]
        names = {self._file.value_names[value][1] for value in own_names}
        recorded = (t for t in self._tensors.values() if t.name == t.parameter)
        if all(tensor.name in names for tensor in recorded):
            large_sample = self._differing_from_name(evenly_sampled(large))
            if not match_contents(large_sample, by_size).exact:
                return []
        differing = self._differing_from_name(large)
        if not match_contents(differing, by_size).exact:
            return []
        return [v for v in own_names if v in differing or self._are_plain([self._label(v)])]

    def _differing_from_name(self, values: Sequence[int]) -> dict[int, Array]:
        """The numbers of those weights that do not hold the numbers recorded under their name."""
        arrays = {}
        for value in values:
            array = self._read(self._weights[value])
            recorded = self._tensors[self._label(value)]
            if array is not None and not self._holds_same_numbers(value, recorded):
                arrays[value] = array
        return arrays

    def _label(self, value: int) -> int:
        """The recorded weight that is called as a weight of the file."""
        return self._recorded.value_of(*self._file.value_names[value])

    def _are_plain(self, labels: Collection[int]) -> bool:
        weights = (self._tensors[label].weight for label in labels)
        return all(w is not None and w.least == w.greatest for w in weights)

    def _find_new(self, unmatched: Mapping[int, int], *matches: Candidates) -> frozenset[int]:
        """Distinctive weights that the recorded model does not have.

        Args:
            unmatched: Weights that hold no recorded numbers, to their number of elements.
            matches: Weights that do, to recorded weights.
        """
        present = {label for labels in matches for many in labels.values() for label in many}
        missing = [tensor for label, tensor in self._tensors.items() if label not in present]
        if any(t.weight is None and t.parameter is not None for t in missing):
            return frozenset()  # it may be any of them
        weights = (tensor.weight for tensor in missing)
        sizes = [w.count for w in weights if w is not None and w.least != w.greatest]
        return find_new_weights(unmatched, sizes)

    def _compare_numbers(
        self, values: Sequence[int], candidates: Candidates, exact: Collection[int] = ()
    ) -> ComparedSample:
        """Compare a sample of matched weights with the recorded numbers.

        Args:
            values: The weights.
            candidates: What they may be.
            exact: Those that are known to hold the recorded numbers.
        """
        sample = evenly_sampled(values)
        compared = [
            ComparedWeight(
                self._file.value_names[value][1],
                self._is_full_precision(value),
                {self._agreement(value, self._tensors[label]) for label in candidates[value]},
            )
            for value in sample
            if value not in exact
        ]
        return ComparedSample.of(len(sample), compared)

    def _are_halved(self, candidates: Candidates, exact: Collection[int]) -> bool:
        """Whether one of a sample of weights in 16 bits holds recorded numbers, rounded."""
        halves = [v for v in candidates if self._is_large(v) and is_halved(self._weights[v])]
        return any(
            self._agreement(value, self._tensors[label]) is Agreement.ROUNDED
            for value in evenly_sampled(halves)
            if value not in exact
            for label in candidates[value]
        )

    def _holds_same_numbers(self, value: int, tensor: Tensor) -> bool:
        """Whether a weight holds the recorded numbers, in the precision in which it is stored."""
        return self._agreement(value, tensor) is not None

    def _agreement(self, value: int, tensor: Tensor) -> Agreement | None:
        array = self._read(self._weights[value])
        if array is None:
            return None
        return compare_numbers(array, tensor, full_precision=self._is_full_precision(value))

    def _is_large(self, value: int) -> bool:
        return element_count(self._weights[value]) >= MINIMUM_WEIGHT_ELEMENTS

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
                    and not is_plain(array)
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
