"""The modules whose operators each ONNX node does, as far as values show it.

The truth of `hierarchy.covers`. It uses the eager run, the file's own values and nothing else, so
it shares no mistake with a matcher. A node does the eager operators between what it reads and what
it returns. Going back from the value that it returns, the way ends at

- a value that the node reads, itself or joined with others (query, key and value in one tensor);
- a value that another node of the file computes, or that the file is given (a file that was cut out
  of another one): what lies before it is done there;
- a value that depends on no input of the model: exporters and tools compute these beforehand;
- a value that other nodes need as well, though none computes it (an attention mask of all layers):
  from it a way leads to values of the file that is not over what this node returns.

Where a node reads something that eager execution never computed, a part of the work may be done
by the node before it. Then only the operators that made the node's own values must be covered;
the others may be. Where several modules compute one value, any of them is right.

A weight may have the numbers of a value that is computed somewhere: a bias of zeros has those of a
mask of zeros. The way back ends at a weight, as it was given and not computed. What computes
the same numbers may be covered and need not be.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import numpy_helper

from fixtures_gen.eager import Eager, Step, digest
from fixtures_gen.onnx_values import Array, Execution, Observed
from fixtures_gen.similar import alike, classes_like, is_distinctive
from modelexport.hierarchy.graph_paths import NodeKey, walk_graphs

NUMBERS = "fiub"
"""numpy's kind letters of real numbers and flags."""

_MAX_STEPS = 400
"""Maximum number of operators between what a node reads and what it returns."""

_MAX_JOINED = 3
"""Maximum number of values that one tensor joins."""


@dataclass(frozen=True)
class Covers:
    """What a node covers.

    Attributes:
        required: Modules whose operators it does.
        allowed: These, and modules whose operators it may do.
    """

    required: frozenset[str]
    allowed: frozenset[str]

    def __or__(self, other: "Covers") -> "Covers":
        return Covers(self.required | other.required, self.allowed | other.allowed)


def _any_of(alternatives: Iterable[Covers]) -> Covers:
    """What is true whichever of several covers is: equal values may be made at several places."""
    covers = list(alternatives)
    return Covers(
        frozenset.intersection(*(c.required for c in covers)),
        frozenset.union(*(c.allowed for c in covers)),
    )


class CoversFinder:
    """Finds what the nodes of a file cover.

    Args:
        observed: A run of the file.
        eager: An eager run of its model on the same inputs.
    """

    def __init__(self, observed: Observed, eager: Eager) -> None:
        self._eager = eager
        self._in_order = observed.in_order
        self._executions = observed.executions
        self._model = observed.model
        self._given = observed.inputs
        self._elements_of: dict[int, bytes] = {}
        self._kept: list[Array] = []
        self._classes: dict[bytes, frozenset[int]] = {}
        self._joined: dict[bytes, frozenset[int]] = {}

    def find(self, nodes: Mapping[NodeKey, frozenset[str]]) -> dict[NodeKey, Covers]:
        """The covers of some nodes.

        Args:
            nodes: The nodes, with the modules of the operators that made their values.
        """
        covers = {}
        for key, modules in nodes.items():
            runs = [self._of_run(run, modules) for run in self._executions[key]]
            required = frozenset[str]().union(*(run.required for run in runs))
            allowed = frozenset[str]().union(*(run.allowed for run in runs))
            if allowed:  # else it only passes on parts of what it reads
                covers[key] = Covers(required, allowed)
        return covers

    def of_joined(self, nodes: Iterable[NodeKey]) -> dict[NodeKey, Covers]:
        """The covers of nodes that return several eager values in one tensor.

        Only values that a node of `find` reads are known to be joined.
        """
        covers: dict[NodeKey, Covers] = {}
        for key in nodes:
            for run in self._executions.get(key, ()):
                parts = {c for a in run.outputs for c in self._joined.get(self._elements(a), ())}
                if parts:
                    known = self._of_classes(run, frozenset(parts), frozenset())
                    covers[key] = known | covers.get(key, known)
        return covers

    def _of_run(self, run: Execution, modules: frozenset[str]) -> Covers:
        read = {c for array in run.inputs for c in self._classes_of(array)}
        outputs = {
            c
            for array in run.outputs
            if array.dtype.kind in NUMBERS and is_distinctive(self._in_order(array))
            for c in self._classes_of(array)
        }
        return self._of_classes(run, frozenset(outputs - read), modules)

    def _of_classes(
        self, run: Execution, outputs: frozenset[int], modules: frozenset[str]
    ) -> Covers:
        """What a run covers that returns some classes.

        Args:
            run: The run.
            outputs: The classes.
            modules: Modules of the operators that made them; all makers when empty.
        """
        read = {c for array in run.inputs for c in self._classes_of(array)}
        unseen = [array for array in run.inputs if self._is_unseen(array)]
        if unseen:
            makers = [s for c in outputs for s in self._eager.made_by.get(c, ())]
            steps = self._walk(makers, read, outputs)
            interior = outputs.union(*(step.inputs for step in steps)) - read
            joined = [parts for array in unseen if (parts := self._parts_of(array, interior))]
            read = read.union(*joined)
            unseen = unseen[len(joined) :]
        covers = Covers(frozenset(), frozenset())
        for output in outputs - read:
            makers = self._eager.made_by.get(output, [])
            makers = [s for s in makers if s.modules & modules] or makers
            nearest = [s for s in makers if s.inputs & read - self._eager.weights]
            nearest = nearest or [s for s in makers if s.inputs & read] or makers
            by_modules: dict[frozenset[str], list[Step]] = defaultdict(list)
            for step in nearest:
                by_modules[step.modules].append(step)
            if by_modules:
                alternatives = by_modules.values()
                covers |= _any_of(
                    self._of_makers(makers, read, outputs, is_open=bool(unseen))
                    for makers in alternatives
                )
        return covers

    def _of_makers(
        self, makers: list[Step], read: set[int], outputs: frozenset[int], *, is_open: bool
    ) -> Covers:
        """What a node covers, if the work of some operators is what it does.

        Args:
            makers: The operators.
            read: What the node reads.
            outputs: What it returns.
            is_open: Whether it reads something that eager execution never computed, too.
        """
        own = frozenset().union(*(step.modules for step in makers))
        certain = self._walk(makers, read | self._eager.weights, outputs)
        possible = self._walk(makers, read, outputs)
        required = own if is_open else own.union(*(step.modules for step in certain))
        return Covers(required, own.union(*(step.modules for step in possible)))

    def _walk(self, makers: list[Step], read: set[int], outputs: frozenset[int]) -> list[Step]:
        """The operators between what a node reads and what it returns."""
        steps = list(makers)
        visited: set[int] = set(outputs) | read
        for step in steps:
            for value in step.inputs - visited:
                visited.add(value)
                if value in self._computed or value not in self._dependent:
                    continue
                if not self._is_needed_elsewhere(value, outputs):
                    steps += self._eager.made_by.get(value, ())
            if len(steps) > _MAX_STEPS:
                break
        return steps

    def _is_needed_elsewhere(self, value: int, outputs: frozenset[int]) -> bool:
        """Whether a way leads from a value to the file's values that is not over the outputs."""
        visited = {value}
        pending = [value]
        while pending:
            for result in self._results[pending.pop()] - visited - outputs:
                if result in self._computed:
                    return True
                visited.add(result)
                pending.append(result)
        return False

    def _parts_of(self, array: Array, classes: frozenset[int]) -> frozenset[int]:
        """The classes that an array joins; none when it joins no classes."""
        parts = self._find_parts(array, classes)
        if parts:
            self._joined[self._elements(array)] = parts
        return parts

    def _find_parts(self, array: Array, classes: frozenset[int]) -> frozenset[int]:
        elements = self._in_order(array)
        rows = {c: self._eager.classes[c] for c in classes}
        smaller = [c for c, row in rows.items() if row.size < elements.size and row.size > 1]
        for count in range(2, _MAX_JOINED + 1):
            for parts in itertools.combinations(smaller, count):
                if sum(rows[c].size for c in parts) != elements.size:
                    continue
                if alike(np.sort(np.concatenate([rows[c] for c in parts])), elements):
                    return frozenset(parts)
        return frozenset()

    def _is_unseen(self, array: Array) -> bool:
        """Whether an array of real numbers that is no constant was never computed eagerly."""
        is_real = array.dtype.kind == "f" and array.size > 1
        if not is_real or self._classes_of(array):
            return False
        return self._elements(array) not in self._constants

    def _classes_of(self, array: Array) -> frozenset[int]:
        if array.dtype.kind not in NUMBERS:
            return frozenset()
        key = self._elements(array)
        if key not in self._classes:
            self._classes[key] = frozenset(classes_like(self._in_order(array), self._eager))
        return self._classes[key]

    @cached_property
    def _constants(self) -> set[bytes]:
        """The numbers of initializers, and what nodes without inputs return."""
        arrays = [
            numpy_helper.to_array(tensor)
            for place in walk_graphs(self._model)
            if isinstance(place.graph, onnx.GraphProto)
            for tensor in place.graph.initializer
        ]
        runs = (run for runs in self._executions.values() for run in runs)
        arrays += [array for run in runs if not run.inputs for array in run.outputs]
        self._kept = arrays
        return {self._elements(array) for array in arrays}

    @cached_property
    def _computed(self) -> frozenset[int]:
        """The distinctive classes that nodes of the file compute or pass on, and its inputs."""
        outputs = (a for runs in self._executions.values() for run in runs for a in run.outputs)
        return frozenset(
            c
            for array in itertools.chain(outputs, self._given)
            if array.dtype.kind in NUMBERS and is_distinctive(self._in_order(array))
            for c in self._classes_of(array)
        )

    @cached_property
    def _results(self) -> Mapping[int, set[int]]:
        """The classes that are made of each class."""
        results: dict[int, set[int]] = defaultdict(set)
        for made in self._eager.made_by.values():
            for step in made:
                for value in step.inputs:
                    results[value].add(step.output)
        return results

    @cached_property
    def _dependent(self) -> set[int]:
        """The classes that depend on an input of the model."""
        dependent = set(self._eager.inputs)
        pending = list(dependent)
        while pending:
            new = self._results[pending.pop()] - dependent
            dependent |= new
            pending += new
        return dependent

    def _elements(self, array: Array) -> bytes:
        """What arrays of the same elements have in common. Arrays are kept, so ids stay theirs."""
        if id(array) not in self._elements_of:
            is_number = array.dtype.kind in NUMBERS
            self._elements_of[id(array)] = digest(self._in_order(array)) if is_number else b""
        return self._elements_of[id(array)]
