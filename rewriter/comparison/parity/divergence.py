"""Where a file begins to compute other numbers than the model in torch."""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import cached_property

from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.module_values import ModuleValues
from modelexport.rewriter.comparison.parity.own_values import OwnValues
from modelexport.rewriter.comparison.value_status import ValueStatus


class _Input(Enum):
    """Whether the file computes what a module read in torch."""

    AGREES = auto()
    DIVERGES = auto()
    UNKNOWN = auto()
    """The file has no such value, and nothing shows a difference."""


class DivergenceStart:
    """Finds the calls in which divergence begins.

    Args:
        calls: The calls of modules, in the order in which they returned.
        statuses: What the file holds of the outputs of each; None for calls without tensors.
        has_value: Whether the file holds an array, by the identity of the array.
        unmatched: For a module the sizes of the values that it reads in the file, not through a
            fused node, and that are no value of the run in torch.
        own: The values of modules.
    """

    def __init__(
        self,
        calls: Sequence[ModuleValues],
        statuses: Sequence[ValueStatus | None],
        has_value: Mapping[int, bool],
        unmatched: Mapping[str, set[int]],
        own: OwnValues,
    ) -> None:
        self._calls, self._statuses, self._has_value = calls, statuses, has_value
        self._unmatched, self._own = unmatched, own
        self._inputs: dict[int, list[_Input]] = {}
        self._by_path: dict[str, list[int]] = {}
        for index, call in enumerate(calls):
            self._by_path.setdefault(call.path, []).append(index)

    @cached_property
    def beginnings(self) -> list[int]:
        """The calls that diverge although none of their inputs does; innermost modules only.

        If the file does not show whether an input diverges, divergence begins there only if no
        other call diverged before.
        """
        begins: list[int] = []
        for position, index in enumerate(self.diverging):
            call, inputs = self._calls[index], self._inputs_of(index)
            inner = any(is_within(self._calls[other].path, call.path) for other in begins)
            unsure = position > 0 and _Input.UNKNOWN in inputs
            if not inner and not unsure and _Input.DIVERGES not in inputs:
                begins.append(index)
        return begins

    @property
    def diverging(self) -> list[int]:
        """The calls that diverge, in their order."""
        return [i for i, s in enumerate(self._statuses) if s is ValueStatus.DIVERGES]

    def suspects(self, index: int) -> list[str]:
        """Modules before a call that have no value in the file, back to one that has a value."""
        suspects: dict[str, None] = {}
        pending = [index]
        while pending:
            current = pending.pop()
            for before in self._hidden_before(current):
                path = self._calls[before].path
                if path not in suspects:
                    suspects[path] = None
                    pending.append(before)
        return list(suspects)

    def _hidden_before(self, index: int) -> list[int]:
        """Calls without a value in the file that return what a call reads, or are fused with it."""
        call = self._calls[index]
        sources = [
            source
            for position, array in enumerate(call.inputs)
            if not self._has_value[id(array)]
            for source in call.sources[position]
        ]
        fused = [i for paths in self._own.fused_with(call.path).values() for p in paths
                 for i in self._by_path.get(p, ()) if not is_within(call.path, p)]  # fmt: skip
        return [i for i in (*sources, *fused) if self._statuses[i] is ValueStatus.NO_NODE]

    def _inputs_of(self, index: int) -> list[_Input]:
        if index not in self._inputs:
            self._inputs[index] = [_Input.UNKNOWN]  # the answer while the search goes on
            count = len(self._calls[index].inputs)
            self._inputs[index] = [self._input(index, position) for position in range(count)]
        return self._inputs[index]

    def _input(self, index: int, position: int) -> _Input:
        call = self._calls[index]
        array = call.inputs[position]
        if self._has_value[id(array)]:
            return _Input.AGREES
        sources = call.sources[position]
        statuses = {self._statuses[source] for source in sources}
        if ValueStatus.DIVERGES in statuses:
            return _Input.DIVERGES
        if sources:
            return self._hidden(sources)
        if array.size in self._unmatched.get(call.path, set()):
            return _Input.DIVERGES
        return self._hidden(self._hidden_before(index))

    def _hidden(self, calls: Sequence[int]) -> _Input:
        """For calls without a value in the file, what their inputs show about their outputs."""
        inputs = (status for index in calls for status in self._inputs_of(index))
        return _Input.DIVERGES if _Input.DIVERGES in inputs else _Input.UNKNOWN
