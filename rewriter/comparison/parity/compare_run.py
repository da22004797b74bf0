"""Comparing a run in torch with an ONNX file, module by module."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_tree import ROOT
from modelexport.hierarchy.module_values import ModelValues
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.file_runner import FileRunner
from modelexport.rewriter.comparison.fused_nodes import FusedNodes
from modelexport.rewriter.comparison.parity.divergence import DivergenceStart
from modelexport.rewriter.comparison.parity.find_values import (
    Match,
    Sought,
    ValueFinder,
    smallest_distances,
)
from modelexport.rewriter.comparison.parity.lost_orders import find_lost_orders
from modelexport.rewriter.comparison.parity.module_rows import (
    ModuleRows,
    OutputPair,
    status_of,
    worst,
)
from modelexport.rewriter.comparison.parity.own_values import OwnValues
from modelexport.rewriter.comparison.parity.results import ModelComparison
from modelexport.rewriter.comparison.parity.run_arrays import RunArrays, small_weights
from modelexport.rewriter.comparison.parity.shown_in_file import ShownInFile
from modelexport.rewriter.comparison.quantisation.examine import has_fewer_bits, module_errors
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.module_groups import (
    group_by_module,
    settled_values,
)
from modelexport.rewriter.comparison.quantisation.results import ModuleError
from modelexport.rewriter.comparison.thresholds import SAME_VALUE_DISTANCE
from modelexport.rewriter.comparison.value_sketches import is_blocked, is_further
from modelexport.rewriter.comparison.value_status import ValueStatus
from modelexport.rewriter.comparison.weights.likely_cause import likely_cause
from modelexport.rewriter.comparison.weights.model_and_file import changed_from_model
from modelexport.support.gc_pause import gc_paused


@gc_paused()
def compare_run(
    values: ModelValues,
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    inherit_from: str | Path | None = None,
    tolerance: float = 1e-4,
    libraries: tuple[Path, ...] = (),
    module: str | None = None,
    depth: int | None = None,
    memory: int = DEFAULT_MEMORY,
) -> ModelComparison:
    """Compare what the modules of a model returned with what an ONNX file computes.

    Args:
        values: A run of the model.
        path: An annotated file; any file of the model with `record` or `inherit_from`.
        record: A trace record of the model, or its path.
        inherit_from: An annotated file that this file was made from, in place of a record.
        tolerance: Relative distance (0 or more) above which a value diverges.
        libraries: Custom operator libraries that onnxruntime loads first.
        module: Path or tag of a module, to compare only it and what is below it.
        depth: How many steps below that (or below the root) modules are shown.
        memory: Maximum bytes of values in memory at one time, where the file is run to match it.

    Raises:
        FileProblem: A file cannot be read.
        ForeignRecordError: The record is of another model.
        RuntimeFailedError: onnxruntime does not run the file.
        UsageError: The modules of the file are not known, or are those of another model; or the
            inputs do not fit.
    """
    with PlacedFile.open(
        path, record=record, inherit_from=inherit_from, libraries=libraries, memory=memory
    ) as placed:
        file = ComparedFile(placed.file, 1, placed.hierarchy)
        shown = ShownInFile(file, module, depth)
        run = _RunAgainstFile(values, file, tolerance, list(map(str, libraries)), shown)
        return msgspec.structs.replace(run.result(), notes=list(placed.notes))


class _RunAgainstFile:
    """One run of `compare_run`."""

    def __init__(
        self,
        values: ModelValues,
        file: ComparedFile,
        tolerance: float,
        libraries: list[str],
        shown: ShownInFile,
    ) -> None:
        self._values, self._file, self._tolerance = values, file, tolerance
        self._libraries, self._shown = libraries, shown
        self._calls = values.calls
        if not any(call.path in file.tree for call in self._calls if call.path):
            raise UsageError(
                f"{file.path}: none of the modules of {values.name} is in it. It is a file of "
                f"another model, or of another part of it: its root is a "
                f"{file.tree.root.class_name}. --task chooses what is loaded from a folder."
            )
        self._own = OwnValues(file, {call.path: i for i, call in enumerate(self._calls)})
        self._rows = ModuleRows(file, self._own, self._calls)
        self._runner = FileRunner(file, self._own.names, libraries, settled_values(file))
        self._feeds = self._runner.find_feeds(list(values.feeds.items()))
        self._arrays = RunArrays(self._calls)
        stored = small_weights(file, self._arrays.sizes)
        self._finder = ValueFinder(self._runner, self._own.names, self._feeds, stored, tolerance)
        self._matches = self._find_all()
        self._pairs = [self._compare_outputs(index) for index in range(len(self._calls))]

    def _find_all(self) -> dict[int, Match]:
        """The matching value of the file for each array, by the identity of the array."""
        arrays = self._arrays.by_id
        matches = self._finder.find([Sought(array) for array in arrays.values()])
        return {key: match for key, match in zip(arrays, matches, strict=True) if match is not None}

    def _compare_outputs(self, index: int) -> list[OutputPair]:
        return [(array, self._matches.get(id(array))) for array in self._calls[index].outputs]

    def result(self) -> ModelComparison:
        """The comparison."""
        self._refuse_lost_orders()
        agreed = {match.name for match in self._matches.values()}
        self._match_own(agreed)
        statuses = [status_of(pairs) for pairs in self._pairs]
        has_value = {key: key in self._matches for key in self._arrays.by_id}
        start = DivergenceStart(
            self._calls, statuses, has_value, self._unmatched(agreed), self._own
        )
        begins = set(start.beginnings)
        candidates = (
            self._rows.row(call, self._pairs[index], begins=index in begins)
            for index, call in enumerate(self._calls)
            if self._shown.shows(call.path)
        )
        rows = [row for row in candidates if row is not None]
        first, suspects = self._first(start)
        few_bits = first is not None and has_fewer_bits(self._file)
        local = self._local_errors() if few_bits else []
        weights = []
        if first is not None:
            weights = changed_from_model(self._file, self._values, self._shown.tag)
        counts = Counter(row.status for row in rows)
        return ModelComparison(
            source=self._values.name,
            file=self._file.path.name,
            inputs=self._values.feeds_from,
            tolerance=self._tolerance,
            same=first is None,
            first=first,
            suspects=suspects,
            counts={status.value: counts[status] for status in ValueStatus},
            modules=rows,
            local=local,
            weights=weights,
            cause=likely_cause(first, suspects, weights, local),
        )

    def _first(self, start: DivergenceStart) -> tuple[str | None, list[str]]:
        """Tags of the module in which divergence begins, and of others where it may begin."""
        shown = [i for i in start.diverging if self._shown.tag(self._calls[i].path) is not None]
        index = next((i for i in shown if i in start.beginnings), next(iter(shown), None))
        if index is None:
            return None, []
        call, suspects = self._calls[index], start.suspects(index)
        _, match = worst(self._pairs[index], ValueStatus.DIVERGES)
        node = None if match is None else self._own.producer(match.name)
        owner = None if node is None else FusedNodes(self._file).module(node)
        first = self._rows.tag(call)
        if owner in suspects:  # the fused node reads the weights of this module alone
            suspects = [call.path, *(path for path in suspects if path != owner)]
            first = self._rows.tag_of(str(owner))
        if self._shown.tag(call.path) != self._rows.tag_of(call.path):
            first = str(self._shown.tag(call.path))
        return first, [self._rows.tag_of(path) for path in suspects]

    def _local_errors(self) -> list[ModuleError]:
        """The error of each module of a file of fewer bits by itself."""
        alignment, shown = self._shown.alignment, self._shown.modules
        group = partial(group_by_module, self._file, alignment, shown)
        examined = ExaminedFile(self._file, self._runner, self._feeds, group)
        errors = module_errors(examined, self._exact(), alignment.tag, self._libraries)
        return [error for key, error in errors.items() if shown.contains(key)]

    def _exact(self) -> dict[str, Array]:
        """The torch arrays of values of the file, by name: outputs and inputs of modules."""
        pairs = chain.from_iterable(self._pairs)
        exact = dict(_paired((a, m) for a, m in pairs if m and self._is_nearest(a, m)))
        missing = [
            Sought(array, tuple(n for n in self._own.reads(call.path) if n not in exact))
            for call in self._calls
            for array in call.inputs
            if id(array) not in self._matches
        ]
        matches = self._finder.find(missing)
        near = (
            (sought.array, match)
            for sought, match in zip(missing, matches, strict=True)
            if match is not None and match.errors.distance < SAME_VALUE_DISTANCE
            if self._is_nearest(sought.array, match)
        )
        exact_pairs = ((self._arrays.by_id[key], m) for key, m in self._matches.items())
        return dict(_paired((*exact_pairs, *near))) | exact

    def _is_nearest(self, array: Array, match: Match) -> bool:
        """Whether the value of a match is this array, rather than another one of the run."""
        if match.agrees or match.layout is not None:
            return True
        return self._arrays.is_nearest(array, self._finder.summaries[match.name])

    def _refuse_lost_orders(self) -> None:
        """Count outputs as divergent whose order is lost."""
        for index, position, match in find_lost_orders(self._calls, self._pairs):
            array, _ = self._pairs[index][position]
            self._matches.pop(id(array), None)
            self._pairs[index][position] = array, match.refused()

    def _match_own(self, agreed: set[str]) -> None:
        """Compare outputs that were not found in the file with the values of their modules."""
        missing = [
            (index, position, Sought(array, own))
            for index, call in enumerate(self._calls)
            if (own := tuple(self._leaving(index, agreed)))
            for position, array in enumerate(call.outputs)
            if self._pairs[index][position][1] is None
        ]
        matches = self._finder.find([sought for _, _, sought in missing])
        nearest = smallest_distances(matches)
        for (index, position, sought), match in zip(missing, matches, strict=True):
            is_output = self._calls[index].path == ROOT  # always compared
            kept = is_output or (match is not None and self._may_be(sought.array, match, nearest))
            self._pairs[index][position] = sought.array, match if kept else None

    def _may_be(self, array: Array, match: Match, nearest: Mapping[str, float]) -> bool:
        """Whether the value of a match may be this array, which a module returned.

        Args:
            array: The array.
            match: The match.
            nearest: The smallest distance of an array from each value, in any order of axes.
        """
        if is_blocked(self._own.op_type(match.name)):
            return False
        if is_further(match.errors.distance, nearest[match.name]):
            return False
        in_order = match.layout is None
        return not (in_order and self._arrays.is_other(array, self._finder.summaries[match.name]))

    def _leaving(self, index: int, agreed: set[str]) -> list[str]:
        """The values that leave a module and were not matched with another array.

        An output of the file is always compared with the output of the model.
        """
        path, call = self._calls[index].path, self._calls[index].call
        if path not in self._file.tree or self._file.tagger.resolve(path) != path:
            return []
        names = [name for name in self._own.leaving(path, call) if name not in agreed]
        if path == ROOT:
            returned = {match.name for _, match in self._pairs[index] if match is not None}
            names += [name for name in self._file.output_names if name not in returned]
        return list(dict.fromkeys(names))

    def _unmatched(self, agreed: set[str]) -> dict[str, set[int]]:
        """Sizes of the values that each module reads in the file and that torch does not have."""
        return {
            path: {
                summary.size
                for name in self._own.reads(path, alone=True)
                if name not in agreed and (summary := self._finder.summaries.get(name)) is not None
            }
            for path in {call.path for call in self._calls}
        }


def _paired(
    pairs: Iterable[OutputPair],
) -> Iterator[tuple[str, Array]]:
    """The values of a file with their torch arrays, in the order of the file's elements."""
    for array, match in pairs:
        if match is not None and match.layout != "":
            axes = None if match.layout is None else tuple(map(int, match.layout.split(",")))
            yield match.name, array if axes is None else array.transpose(axes)
