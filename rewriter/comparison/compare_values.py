"""What two files compute on the same inputs, and where they begin to differ."""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from modelexport.hierarchy.record import Record
from modelexport.rewriter.comparison.boundaries import BoundaryValue
from modelexport.rewriter.comparison.compared_file import ComparedFiles
from modelexport.rewriter.comparison.deviations import deviation_of
from modelexport.rewriter.comparison.divergence_finder import DivergenceFinder
from modelexport.rewriter.comparison.file_runner import (
    memory_chunks,
)
from modelexport.rewriter.comparison.file_runs import FileRuns, run_files
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.quantisation.examine import (
    Examined,
    has_fewer_bits,
    module_errors,
    suggest,
)
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.module_groups import (
    group_by_module,
)
from modelexport.rewriter.comparison.quantisation.read_values import (
    pair_read_values,
    with_keys_of,
)
from modelexport.rewriter.comparison.results import Deviation, NumericComparison, Unaligned
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.value_pairing import Pair, ValuePairing
from modelexport.rewriter.comparison.value_sketches import ValueSketches, is_blocked
from modelexport.rewriter.comparison.weights.likely_cause import likely_cause
from modelexport.rewriter.comparison.weights.two_files import changed_weights


class Numeric(msgspec.Struct, frozen=True):
    """How two files are run side by side.

    Attributes:
        probe: An .npz file with inputs by name. Without it the inputs of the record are used,
            or else generated ones.
        tolerance: Relative distance (0 or more) above which a value diverges.
        libraries: Custom operator libraries that onnxruntime loads first.
        suggest: Whether to find out which modules to leave out of quantisation.
    """

    probe: Path | None = None
    tolerance: float = 1e-4
    libraries: tuple[Path, ...] = ()
    suggest: bool = False


def compare_values(
    files: ComparedFiles,
    alignment: ModuleAlignment,
    options: Numeric,
    record: Record | None,
    shown: ShownModules,
) -> NumericComparison:
    """Run both files and compare the values that leave their modules.

    All values are compared, also those of modules that are not shown: the innermost values decide
    which of the others are the same, and where divergence begins.

    Args:
        files: The files.
        alignment: Which of their modules are the same.
        options: How they are run.
        record: The record whose inputs are used, if it has any.
        shown: The modules that are shown.

    Raises:
        RuntimeFailedError: onnxruntime does not load or run one of the files.
        UsageError: The inputs do not fit.
    """
    sources = options.probe, record
    runs, inputs = run_files(files, alignment, shown, sources, list(map(str, options.libraries)))
    pairing = ValuePairing(runs[0].values, runs[1].values)
    pairs = pairing.pairs
    deviations = _measure(files, runs, pairs, alignment, options.tolerance)
    finder = DivergenceFinder(files[0].graph, pairs, deviations)
    mispaired = finder.mispairings() | _values_of_others(runs, pairs, deviations)
    kept = [index for index in range(len(pairs)) if index not in mispaired]
    hidden = {index for index in kept if shown.hides(pairs[index].keys)}
    beginnings = finder.beginnings(mispaired | hidden)
    shown_keys = ((i, shown.shown_as(pairs[i].key)) for i in kept if deviations[i].diverges)
    start, first = next(((i, key) for i, key in shown_keys if key is not None), (None, None))
    examined = Examined({})
    if options.suggest or (first is not None and has_fewer_bits(files[1], files[0])):
        compared = [(pairs[index], deviations[index]) for index in kept]
        others = {pairs[index].a_name for index in mispaired}
        examined = _examine(files, runs, compared, others, alignment, shown, options)
    weights = [] if first is None else changed_weights(files, alignment, shown)
    first_tag = None if first is None else alignment.tag(first)
    local = list(examined.errors.values())
    return NumericComparison(
        inputs=inputs,
        tolerance=options.tolerance,
        values=[
            msgspec.structs.replace(
                deviations[index], tag=alignment.tag(key), begins=index in beginnings
            )
            for index in kept
            if (key := shown.innermost(pairs[index].keys)) is not None
        ],
        first=first_tag,
        unaligned=[
            Unaligned(alignment.tag(key), "ab"[index], value.name, value.op, reason)
            for index, value, keys, reason in _left_out(pairing, mispaired)
            if (key := shown.innermost(keys)) is not None
        ],
        same=first is None,
        local=local,
        suggestion=examined.suggestion,
        weights=weights,
        cause=likely_cause(
            *(first_tag, (), weights, local), -1 if start is None else pairs[start].b.node
        ),
    )


def _examine(
    files: ComparedFiles,
    runs: FileRuns,
    compared: Sequence[tuple[Pair, Deviation]],
    others: Collection[str],
    alignment: ModuleAlignment,
    shown: ShownModules,
    options: Numeric,
) -> Examined:
    """The errors of the second file's modules by themselves, and which modules to leave out.

    `others` are values of the first file that differ from those of the second on purpose, such as
    the number for minus infinity in a mask: half precision has another one. They are not exchanged.
    """
    libraries = [str(path) for path in options.libraries]
    reference, quantised = (
        ExaminedFile(file, run.runner, run.feeds, partial(group_by_module, file, alignment, shown))
        for file, run in zip(files, runs, strict=True)
    )
    names = [(pair.a.name, pair.b.name) for pair, _ in compared]
    read = pair_read_values(reference, quantised, names)
    names += [(a, b) for a, b in read if a not in others]
    quantised = with_keys_of(reference, quantised, names)
    values = reference.runner.values([a for a, _ in names], reference.feeds)
    exact = {b: values[a] for a, b in names if a in values}
    layouts = {pair.b.name: deviation.layout for pair, deviation in compared if deviation.layout}
    for b in exact.keys() & layouts.keys():
        exact[b] = exact[b].transpose(tuple(map(int, layouts[b].split(","))))
    names = [(a, b) for a, b in names if b not in layouts]  # such values are not exchanged
    errors = module_errors(quantised, exact, alignment.tag, libraries)
    errors = {key: error for key, error in errors.items() if shown.contains(key)}
    if not options.suggest:
        return Examined(errors)
    outputs = [(pair.a_name, pair.b_name) for pair, d in compared if d.paired_by == "output"]
    candidates = [key for key, error in errors.items() if (error.relative or 0) > options.tolerance]
    tolerance = options.tolerance
    return Examined(
        errors,
        suggest(
            *(reference, quantised, names, outputs, candidates, alignment.tag),
            tolerance=tolerance,
            libraries=libraries,
        ),
    )


def _measure(
    files: ComparedFiles,
    runs: FileRuns,
    pairs: Sequence[Pair],
    alignment: ModuleAlignment,
    tolerance: float,
) -> list[Deviation]:
    """The errors of the second file in each pair; fetched in parts that fit into memory."""
    left, right = runs
    lines = [file.source_lines for file in files]
    summaries = left.values.summaries
    deviations: list[Deviation] = []
    for chunk in memory_chunks([summaries[pair.a_name].bytes for pair in pairs]):
        part = pairs[chunk.start : chunk.stop]
        expected = left.runner.values([pair.a_name for pair in part], left.feeds)
        actual = right.runner.values([pair.b_name for pair in part], right.feeds)
        deviations += [
            deviation_of(
                pair,
                alignment.tag(pair.key),
                summaries[pair.a_name].shape,
                (expected[pair.a_name], actual[pair.b_name]),
                tolerance,
                lines[0][pair.a.node] or lines[1][pair.b.node],
            )
            for pair in part
        ]
    return deviations


def _values_of_others(
    runs: FileRuns, pairs: Sequence[Pair], deviations: Sequence[Deviation]
) -> set[int]:
    """Numbers of the pairs whose second value is none of the first file, or another one of it."""
    left, right = (run.values.summaries for run in runs)
    sketches = ValueSketches(left)
    return {
        index
        for index, (pair, deviation) in enumerate(zip(pairs, deviations, strict=True))
        if deviation.diverges and deviation.layout is None and deviation.paired_by != "output"
        if is_blocked(pair.b.op) or sketches.is_other(pair.a_name, right[pair.b_name])
    }


def _left_out(
    pairing: ValuePairing, mispaired: set[int]
) -> Iterator[tuple[int, BoundaryValue, tuple[str, ...], str]]:
    """Values that are not compared: file index, value, keys of the modules it leaves, reason."""
    for index in sorted(mispaired):
        pair = pairing.pairs[index]
        reason = (
            f"differs from {pair.b_name}, but what is computed from it agrees, or another value is "
            "much nearer: not the same value"
        )
        yield 0, pair.a, pair.keys, reason
    for file_index in (0, 1):
        for value, reason in pairing.unpaired(file_index):
            yield file_index, value, value.keys, reason
