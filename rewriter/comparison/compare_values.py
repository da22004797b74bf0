"""What two files compute on the same inputs, and where they begin to differ."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec

from modelexport.hierarchy.record import Record
from modelexport.rewriter.comparison.boundaries import Boundaries, BoundaryValue, find_boundaries
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.deviations import deviation_of
from modelexport.rewriter.comparison.divergence_finder import DivergenceFinder
from modelexport.rewriter.comparison.file_runner import (
    FileRunner,
    NamedArrays,
    generate_inputs,
    memory_chunks,
)
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.quantisation.examine import (
    Examined,
    has_fewer_bits,
    module_errors,
    suggest,
)
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.module_groups import (
    ModuleGroups,
    group_by_module,
    settled_values,
)
from modelexport.rewriter.comparison.quantisation.read_values import (
    pair_read_values,
    with_keys_of,
)
from modelexport.rewriter.comparison.results import Deviation, NumericComparison, Unaligned
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.value_pairing import ComparedValues, Pair, ValuePairing
from modelexport.rewriter.comparison.weights.likely_cause import likely_cause
from modelexport.rewriter.comparison.weights.two_files import changed_weights
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.matching import read_inputs


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


@dataclass(frozen=True)
class _FileRun:
    """One file, ready to give its values.

    Attributes:
        runner: Runs the file.
        feeds: What it is fed.
        values: The values that can be compared.
    """

    runner: FileRunner
    feeds: Feeds
    values: ComparedValues


_Runs = tuple[_FileRun, _FileRun]


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
    runs, inputs = _run(files, alignment, options, record, shown)
    pairing = ValuePairing(runs[0].values, runs[1].values)
    pairs = pairing.pairs
    deviations = _measure(files, runs, pairs, alignment, options.tolerance)
    finder = DivergenceFinder(files[0].graph, pairs, deviations)
    mispaired = finder.mispairings()
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
    runs: _Runs,
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


def _read_names(file: ComparedFile, alignment: ModuleAlignment, shown: ShownModules) -> list[str]:
    """The values that modules read from others, those around them included."""
    groups = ModuleGroups(file, partial(group_by_module, file, alignment, shown))
    return list(chain.from_iterable(groups.read_values().values()))


def _run(
    files: ComparedFiles,
    alignment: ModuleAlignment,
    options: Numeric,
    record: Record | None,
    shown: ShownModules,
) -> tuple[_Runs, str]:
    """Run both files on the same inputs; and say where the inputs come from."""
    libraries = [str(path) for path in options.libraries]
    boundaries = [find_boundaries(file, alignment) for file in files]
    names = [_value_names(*pair) for pair in zip(files, boundaries, strict=True)]
    runners = [
        FileRunner(
            *(file, [*own, *_read_names(file, alignment, shown)], libraries),
            settled=settled_values(file),
        )
        for file, own in zip(files, names, strict=True)
    ]
    arrays, inputs = _inputs(files[0], options, record, libraries)
    feeds = runners[0].find_feeds(arrays)
    other_feeds = runners[1].find_feeds(list(feeds.items()))
    left, right = (
        _FileRun(
            runners[index],
            fed,
            ComparedValues(
                boundaries[index],
                runners[index].summaries(names[index], fed),
                files[index].output_names,
            ),
        )
        for index, fed in enumerate((feeds, other_feeds))
    )
    return (left, right), inputs


def _value_names(file: ComparedFile, boundaries: Boundaries) -> list[str]:
    names = (value.name for value in boundaries.values)
    return list(dict.fromkeys([*names, *file.output_names]))


def _inputs(
    file: ComparedFile, options: Numeric, record: Record | None, libraries: list[str]
) -> tuple[NamedArrays, str]:
    """The inputs of a comparison, and where they come from."""
    if options.probe is not None:
        return list(read_inputs(options.probe)), options.probe.name
    if record is not None and record.probe.inputs:
        return [(entry.name, entry.to_array()) for entry in record.probe.inputs], "the record's"
    return generate_inputs(file, libraries), "generated"


def _measure(
    files: ComparedFiles,
    runs: _Runs,
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


def _left_out(
    pairing: ValuePairing, mispaired: set[int]
) -> Iterator[tuple[int, BoundaryValue, tuple[str, ...], str]]:
    """Values that are not compared: file index, value, keys of the modules it leaves, reason."""
    for index in sorted(mispaired):
        pair = pairing.pairs[index]
        reason = (
            f"differs from {pair.b_name}, but what is computed from it agrees: not the same value"
        )
        yield 0, pair.a, pair.keys, reason
    for file_index in (0, 1):
        for value, reason in pairing.unpaired(file_index):
            yield file_index, value, value.keys, reason
