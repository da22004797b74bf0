"""Evidence *weights*: initializers are recognised by name, else by what they hold.

A weight that one recorded op reads tells which op a node is that reads it. Fingerprints of
weights survive transposing, reshaping and rounding.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import onnx

from hierarchy.fingerprint import Array, WeightFingerprint, weight_fingerprint
from hierarchy.graphs import walk_graphs
from hierarchy.record import Record, Tensor
from rewriter.wiring import NONE, Wiring

Read = Callable[[onnx.TensorProto], Array | None]
"""The values of an initializer; None for what numpy cannot hold."""

_FEWEST_ELEMENTS = 8
"""A smaller tensor (a scalar, a shape) is found anywhere and proves nothing."""

_EXACT = 1e-5
_ROUNDED = 2e-3
"""Largest difference of mean powers over the mean square's root; rounding to 16 bits is within."""

_SAMPLE = 8
"""Weights of equal names that are looked at to see whether the numbers are the same."""


@dataclass
class WeightMatch:
    """Which recorded weights the weights of a file are.

    Attributes:
        held: Weights of the file (values of its wiring) to the recorded weights that they may be.
        owners: Weights of the file to the module whose parameter they hold.
        compared: How many weights of equal names were looked at.
        differing: Those of them that hold other numbers; one of their names.
        example: A name of these.
        matched, matchable: Weights of telling size found in the record, and all of them.
    """

    held: dict[int, frozenset[int]] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    compared: int = 0
    differing: int = 0
    example: str = ""
    matched: int = 0
    matchable: int = 0

    @property
    def differ(self) -> bool:
        """Whether the weights are those of another training of the model."""
        return self.differing > self.compared // 2


class Weights:
    """Compares the weights of a file with those of a record.

    Args:
        model: The file's model.
        here, there: Wirings of the file and of the record.
        record: The record.
        read: Reads an initializer.
    """

    def __init__(
        self, model: onnx.ModelProto, here: Wiring, there: Wiring, record: Record, read: Read
    ) -> None:
        self._here = here
        self._there = there
        self._read = read
        self._recorded: dict[int, Tensor] = {}
        self._by_count: dict[int, list[int]] = defaultdict(list)
        for tensor in record.tensors:
            value = there.number(tensor.graph, tensor.name)
            self._recorded[value] = tensor
            if tensor.weight is not None:
                self._by_count[tensor.weight.count].append(value)
        self._absent: dict[int, list[Tensor]] = defaultdict(list)
        for tensor in record.absent:
            if tensor.weight is not None:
                self._absent[tensor.weight.count].append(tensor)
        self._tree = record.tree
        self._held = dict(_initializers(model, here))

    def by_name(self) -> WeightMatch:
        """Weights that are called as they were recorded, a sample of them compared."""
        found = WeightMatch()
        for value, tensor in self._held.items():
            graph, name = self._here.names[value]
            recorded = self._there.number(graph, name)
            known = self._recorded.get(recorded)
            if known is not None and _count(tensor) == _size_of(known):
                found.held[value] = frozenset([recorded])
        self._compare_some(found)
        return found

    def by_content(self, found: WeightMatch) -> WeightMatch:
        """Adds weights that are called otherwise, recognised by their fingerprints."""
        for value, tensor in self._held.items():
            if _count(tensor) < _FEWEST_ELEMENTS:
                continue
            found.matchable += 1
            if value not in found.held:
                self._recognise(value, tensor, found)
            found.matched += value in found.held or value in found.owners
        self._find_owners(found)
        return found

    def _recognise(self, value: int, tensor: onnx.TensorProto, found: WeightMatch) -> None:
        """Compare one weight with all recorded ones of its size."""
        candidates = self._by_count.get(_count(tensor), [])
        absent = self._absent.get(_count(tensor), [])
        array = self._read(tensor) if candidates or absent else None
        known = None if array is None else weight_fingerprint(array)
        if known is None:
            return
        for tolerance in (_EXACT, _ROUNDED):
            alike = [c for c in candidates if self._distance(c, known) <= tolerance]
            if alike:
                found.held[value] = frozenset(alike)
                return
            owners = {
                self._owner(each)
                for each in absent
                if each.weight is not None and weight_distance(known, each.weight) <= tolerance
            }
            if len(owners) == 1 and (owner := owners.pop()) is not None:
                found.owners[value] = owner
                return

    def _owner(self, tensor: Tensor) -> str | None:
        return None if tensor.parameter is None else self._tree.owner(tensor.parameter)

    def _find_owners(self, found: WeightMatch) -> None:
        for value, held in found.held.items():
            owners = {self._owner(self._recorded[recorded]) for recorded in held}
            if len(owners) == 1 and (owner := owners.pop()) is not None:
                found.owners[value] = owner

    def _compare_some(self, found: WeightMatch) -> None:
        values = [v for v in found.held if _count(self._held[v]) >= _FEWEST_ELEMENTS]
        step = max(1, len(values) // _SAMPLE)
        for value in values[::step]:
            (recorded,) = found.held[value]
            array = self._read(self._held[value])
            known = None if array is None else weight_fingerprint(array)
            if known is None or self._recorded[recorded].weight is None:
                continue
            found.compared += 1
            if self._distance(recorded, known) > _ROUNDED:
                found.differing += 1
                found.example = self._here.names[value][1]

    def _distance(self, recorded: int, known: WeightFingerprint) -> float:
        theirs = self._recorded[recorded].weight
        if theirs is None or theirs.count != known.count:
            return float("inf")
        return weight_distance(known, theirs)


def weight_distance(left: WeightFingerprint, right: WeightFingerprint) -> float:
    """Largest difference of extremes and mean powers, each brought to the scale of 1."""
    count = max(1, right.count)
    scale = max((right.sums[1] / count) ** 0.5, 1e-30)
    extreme = max(abs(right.least), abs(right.greatest), 1e-30)
    gaps = [
        abs(left.least - right.least) / extreme,
        abs(left.greatest - right.greatest) / extreme,
        abs(left.sums[0] - right.sums[0]) / count / scale,
        abs(left.sums[1] - right.sums[1]) / count / scale**2,
        abs(left.sums[3] - right.sums[3]) / count / scale,
    ]
    return max(gaps)


def weight_readers(there: Wiring, sources: list[list[int]]) -> Mapping[int, list[int]]:
    """Recorded ops that read each recorded weight, across what only rearranges it."""
    found: dict[int, list[int]] = defaultdict(list)
    for node, values in enumerate(sources):
        for value in values:
            if value in there.weights and node not in found[value]:
                found[value].append(node)
    return found


def _initializers(model: onnx.ModelProto, here: Wiring) -> Iterator[tuple[int, onnx.TensorProto]]:
    for place in walk_graphs(model):
        if isinstance(place.graph, onnx.GraphProto):
            for tensor in place.graph.initializer:
                value = here.number(place.path, tensor.name)
                if value != NONE:
                    yield value, tensor


def _size_of(tensor: Tensor) -> int | None:
    return None if tensor.weight is None else tensor.weight.count


def _count(tensor: onnx.TensorProto) -> int:
    count = 1
    for extent in tensor.dims:
        count *= extent
    return count
