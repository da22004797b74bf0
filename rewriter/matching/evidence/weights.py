"""Evidence *weights*: initializers are recognised by name, else by what they hold.

A weight that one recorded op reads tells which op a node is that reads it. The sketch of a
weight (`hierarchy.fingerprints`) has a direction that rounding hardly turns and a scale does
not turn at all, so a weight is recognised in 16, 8 or 4 bits, and transposed.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial

import onnx

from modelexport.hierarchy.fingerprints import (
    Array,
    WeightFingerprint,
    weight_fingerprint,
)
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Record, Tensor
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.dequantised_weights import dequantise
from modelexport.rewriter.matching.evidence.merged_weights import match_concatenated, match_split
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights

_FEWEST_ELEMENTS = 8
"""A smaller tensor (a scalar, a shape) is found anywhere and proves nothing."""

_EXACT = 1e-5
"""Largest difference of mean powers, over their scale, of weights that are the same numbers."""

_WHOLE = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE}
"""Types in which nothing is rounded."""

_SAMPLE = 16
"""Weights of equal names that are looked at to see whether the numbers are the same."""


@dataclass
class WeightMatch:
    """Which recorded weights the weights of a file are.

    Attributes:
        candidates: Weights of the file to the recorded weights that they may be.
        merged_from: Weights of the file to the recorded weights that they are put together of.
        owners: Weights of the file to the module whose parameter they hold.
        matched, matchable: Elements of telling weights found in the record, and of all of them.
        compared: Weights in the recorded precision that were compared with their counterpart.
        differing: Those of them that hold other numbers; one of their names.
        example: A name of these.
    """

    candidates: dict[int, frozenset[int]] = field(default_factory=dict)
    merged_from: dict[int, frozenset[int]] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    matched: int = 0
    matchable: int = 0
    compared: int = 0
    differing: int = 0
    example: str = ""

    @property
    def retrained(self) -> bool:
        """Whether the weights are those of another training of the model."""
        return self.differing > self.compared // 2


class Weights:
    """Compares the weights of a file with those of a record.

    Args:
        graph: The nodes of the file.
        here, there: Wirings of the file and of the record.
        record: The record.
        read: Reads an initializer.
    """

    def __init__(
        self,
        graph: ModelGraph,
        here: IndexedGraph,
        there: IndexedGraph,
        record: Record,
        read: ReadInitializer,
    ) -> None:
        self._graph = graph
        self._here = here
        self._there = there
        self._read = read
        self._tree = record.tree
        self._tensors: dict[int, Tensor] = {
            there.value_of(tensor.graph, tensor.name): tensor for tensor in record.tensors
        }
        absent = enumerate(record.absent, len(there.value_names))  # numbers that no value has
        self._tensors |= dict(absent)
        self._held = dict(_initializers(graph, here))

    def match(self, *, by_content: bool) -> WeightMatch:
        """Find each weight in the record.

        Args:
            by_content: Look at the numbers where names do not tell.
        """
        found = WeightMatch()
        self._match_names(found, by_content=by_content)
        if by_content:
            self._match_contents(found)
        self._find_owners(found)
        return found

    def _match_names(self, found: WeightMatch, *, by_content: bool) -> None:
        """Weights that are called as they were recorded.

        A name that an exporter made up may stand for another weight in another file: it is
        believed when the numbers agree. One that is the parameter's own is believed, and a
        sample of these is compared, to see whether the model was trained further.
        """
        own = []
        for value, tensor in self._held.items():
            recorded = self._there.value_of(*self._here.value_names[value])
            known = self._tensors.get(recorded)
            if known is None or _count(tensor) != _size_of(known):
                continue
            if known.name == known.parameter or not by_content:
                found.candidates[value] = frozenset([recorded])
                own.append(value)
            elif self._same(tensor, known):
                found.candidates[value] = frozenset([recorded])
        if by_content:
            self._compare_some([v for v in own if _count(self._held[v]) >= _FEWEST_ELEMENTS], found)

    def _compare_some(
        self, values: list[int], found: WeightMatch, exact: Collection[int] = ()
    ) -> None:
        """Whether the numbers are the recorded ones, by a sample of weights of all kinds.

        Args:
            values: The weights.
            found: What is known of them, and gets to know it.
            exact: Those that are known to hold the recorded numbers.
        """
        for value in values[:: max(1, -(-len(values) // _SAMPLE))]:
            found.compared += 1
            if value in exact:
                continue
            held = (self._tensors[label] for label in found.candidates[value])
            if not any(self._same(self._held[value], known) for known in held):
                found.differing += 1
                found.example = self._here.value_names[value][1]

    def _same(self, tensor: onnx.TensorProto, known: Tensor) -> bool:
        """Whether a weight holds the recorded numbers, in the precision in which it is stored."""
        array = self._read(tensor)
        print_ = None if array is None else weight_fingerprint(array, sketched=False)
        if array is None or print_ is None or known.weight is None:
            return known.weight is None
        if tensor.data_type in _WHOLE:
            return _distance(print_, known.weight) <= _EXACT
        return bool(RecordedWeights([0], [known]).match([array])[0].labels)

    def _match_contents(self, found: WeightMatch) -> None:
        """Compare the weights that names do not tell with all recorded ones of their size."""
        recorded = self._recorded()
        wanted: dict[int, list[tuple[int, Array]]] = defaultdict(list)
        for value, tensor in self._held.items():
            if value in found.candidates:
                found.matchable += _count(tensor)
                found.matched += _count(tensor)
            elif _count(tensor) >= _FEWEST_ELEMENTS:
                array = self._content(value, tensor)
                if array is None or array.dtype.kind not in "fiu" or _plain(array):
                    continue
                found.matchable += array.size
                wanted[array.size].append((value, array))
        left: dict[int, Array] = {}
        new: list[int] = []
        exact: set[int] = set()
        for size, pairs in wanted.items():
            if size not in recorded:
                left |= dict(pairs)
                continue
            every = recorded[size].match([array for _, array in pairs])
            for (value, array), alike in zip(pairs, every, strict=True):
                if alike.labels:
                    found.matched += array.size
                    found.candidates[value] = frozenset(alike.labels)
                    new.append(value)
                    if alike.exact:
                        exact.add(value)
                else:
                    left[value] = array
        whole = [value for value in new if self._held[value].data_type in _WHOLE]
        self._compare_some(whole, found, exact)
        self._match_parts(left, recorded, found)

    def _recorded(self) -> dict[int, RecordedWeights]:
        """The recorded weights that have a sketch, by their number of elements."""
        groups: dict[int, tuple[list[int], list[Tensor]]] = defaultdict(lambda: ([], []))
        for label, tensor in self._tensors.items():
            if tensor.weight is not None and tensor.weight.sketch:
                labels, tensors = groups[tensor.weight.count]
                labels.append(label)
                tensors.append(tensor)
        return {size: RecordedWeights(*group) for size, group in groups.items()}

    def _match_parts(
        self, left: dict[int, Array], recorded: dict[int, RecordedWeights], found: WeightMatch
    ) -> None:
        """Weights that were merged of recorded ones, or split."""
        for value, array in left.items():
            parts = match_concatenated(array, recorded)
            if parts and all(len(labels) == 1 for labels in parts):
                found.matched += array.size
                found.merged_from[value] = frozenset(label for labels in parts for label in labels)
        apart = {value: array for value, array in left.items() if value not in found.merged_from}
        for group, labels in match_split(apart, self._here, recorded):
            for value in group:
                found.matched += apart[value].size
                found.candidates[value] = frozenset(labels)

    def _content(self, value: int, tensor: onnx.TensorProto) -> Array | None:
        """What a weight stands for, once dequantised."""
        stored = self._read(tensor)
        if stored is None or stored.dtype.kind == "f":
            return stored
        for node in self._here.consumers[value]:
            fetch = partial(self._by_name, self._here.graph_paths[node])
            found = dequantise(self._graph.nodes[node], stored, fetch)
            if found is not None:
                return found
        return stored

    def _by_name(self, graph: str, name: str) -> Array | None:
        tensor = self._held.get(self._here.value_of(graph, name))
        return None if tensor is None else self._read(tensor)

    def _find_owners(self, found: WeightMatch) -> None:
        for value, held in list(found.candidates.items()):
            parameters = {self._tensors[label].parameter for label in held}
            owners = {None if p is None else self._tree.owner(p) for p in parameters}
            if len(owners) == 1 and (owner := owners.pop()) is not None:
                found.owners[value] = owner
            there = frozenset(label for label in held if label < len(self._there.value_names))
            if there:
                found.candidates[value] = there
            else:
                del found.candidates[value]


def _distance(left: WeightFingerprint, right: WeightFingerprint) -> float:
    """Largest difference of extremes and mean powers, each brought to the scale of 1."""
    count = max(1, right.count)
    scale = max(math.sqrt(right.sums[1] / count), 1e-30)
    extreme = max(abs(right.least), abs(right.greatest), 1e-30)
    return max(
        abs(left.least - right.least) / extreme,
        abs(left.greatest - right.greatest) / extreme,
        abs(left.sums[0] - right.sums[0]) / count / scale,
        abs(left.sums[1] - right.sums[1]) / count / scale**2,
    )


def other_weights(model: onnx.ModelProto, record: Record, read: ReadInitializer) -> str:
    """Whether a file of the very graph that was traced holds other numbers; "" when it does not.

    The smallest weights that tell anything are compared, so that it costs next to nothing.
    """
    recorded = {t.name: t for t in record.tensors if t.graph == MAIN and t.weight is not None}
    held = [w for w in model.graph.initializer if w.name in recorded and w.data_type in _WHOLE]
    distinctive = sorted((w for w in held if _count(w) >= _FEWEST_ELEMENTS), key=_count)[:_SAMPLE]
    differing = []
    for tensor in distinctive:
        array, known = read(tensor), recorded[tensor.name].weight
        print_ = None if array is None else weight_fingerprint(array, sketched=False)
        if print_ is not None and known is not None and _distance(print_, known) > _EXACT:
            differing.append(tensor.name)
    return said_of(len(differing), len(distinctive), differing[0]) if differing else ""


def said_of(differing: int, compared: int, example: str) -> str:
    """That the weights are others, for a person."""
    return (
        f"the weights are not the recorded ones ({differing} of {compared} that were compared "
        f"differ, {example} for one): the model was trained further, or anew"
    )


def _plain(array: Array) -> bool:
    """Whether all numbers are equal, so that they tell nothing."""
    if array.item(0) != array.item(array.size - 1):
        return False
    return bool(array.min() == array.max())


def _initializers(graph: ModelGraph, here: IndexedGraph) -> Iterator[tuple[int, onnx.TensorProto]]:
    for place in graph.places:
        if isinstance(place.graph, onnx.GraphProto):
            for tensor in place.graph.initializer:
                value = here.value_of(place.path, tensor.name)
                if value != NONE:
                    yield value, tensor


def _size_of(tensor: Tensor) -> int | None:
    return None if tensor.weight is None else tensor.weight.count


def _count(tensor: onnx.TensorProto) -> int:
    count = 1
    for extent in tensor.dims:
        count *= extent
    return count
