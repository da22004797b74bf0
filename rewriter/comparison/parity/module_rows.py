"""The rows of a comparison: what a call of a module returned, and what the file holds there."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import ModuleValues
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.parity.find_values import Match
from modelexport.rewriter.comparison.parity.own_values import OwnValues
from modelexport.rewriter.comparison.parity.results import ModuleComparison
from modelexport.rewriter.comparison.value_status import ValueStatus

OutputPair = tuple[Array, Match | None]
"""An array that a module returned, and the value of the file that equals it or is compared with
it."""

_STATUS_RANK = (ValueStatus.DIVERGES, ValueStatus.PERMUTED, ValueStatus.EQUAL, ValueStatus.NO_NODE)
"""The statuses, the worst first: a module with several outputs gets the worst of theirs."""


class ModuleRows:
    """Makes the rows.

    Args:
        file: The file.
        own: The values of its modules.
        calls: The calls of modules.
    """

    def __init__(self, file: ComparedFile, own: OwnValues, calls: Sequence[ModuleValues]) -> None:
        self._file, self._own = file, own
        self._counts = Counter(call.path for call in calls)

    def row(
        self, call: ModuleValues, pairs: Sequence[OutputPair], *, begins: bool
    ) -> ModuleComparison | None:
        """The row of a call; None where it returned no tensors.

        Args:
            call: The call.
            pairs: Its outputs.
            begins: Whether divergence begins in it.
        """
        status = status_of(pairs)
        if status is None:
            return None
        array, match = worst(pairs, status)
        path = call.path
        row = ModuleComparison(
            tag=self.tag(call),
            path=path,
            class_name=self._file.tree[path].class_name if path in self._file.tree else "",
            call=call.call,
            status=status,
            begins=begins,
            shape=tuple(array.shape),
        )
        if match is None:
            return msgspec.structs.replace(row, reason=self._reason(path))
        errors, computed_in = match.errors, self._own.module(match.name)
        node = self._own.producer(match.name)
        return msgspec.structs.replace(
            row,
            value=match.name,
            op_type=self._own.op_type(match.name),
            computed_in=None if computed_in is None else self.tag_of(computed_in),
            layout=match.layout,
            max_abs=errors.max_abs,
            relative=errors.relative,
            cosine=errors.cosine,
            snr_db=errors.snr_db,
            source_lines=() if node is None else self._file.source_lines[node],
        )

    def _reason(self, path: str) -> str:
        """Why the file has no value of a module."""
        if fused := self._own.fused_with(path):
            operators = ", ".join(fused)
            return f"{operators} does its work together with that of other modules"
        if not self._own.has_nodes(path):
            return "the file has no nodes of this module"
        return "no value of this size leaves the module in the file"

    def tag(self, call: ModuleValues) -> str:
        """The tag of the module of a call; with `@` and a number where it has several calls."""
        tag = self.tag_of(call.path)
        return f"{tag}@{call.call}" if self._counts[call.path] > 1 else tag

    def tag_of(self, path: str) -> str:
        """The tag of a module; its path where the file does not know it."""
        return self._file.tagger.tag(path) if path in self._file.tree else path


def status_of(pairs: Sequence[OutputPair]) -> ValueStatus | None:
    """The status of a call by its outputs; None without outputs."""
    statuses = {_match_status(match) for _, match in pairs}
    return next((status for status in _STATUS_RANK if status in statuses), None)


def worst(pairs: Sequence[OutputPair], status: ValueStatus) -> OutputPair:
    """The output of a status with the largest error."""
    having = [(array, match) for array, match in pairs if _match_status(match) is status]
    return max(having, key=lambda pair: 0.0 if pair[1] is None else pair[1].errors.distance)


def _match_status(match: Match | None) -> ValueStatus:
    if match is None:
        return ValueStatus.NO_NODE
    if not match.agrees:
        return ValueStatus.DIVERGES
    return ValueStatus.EQUAL if match.layout is None else ValueStatus.PERMUTED
