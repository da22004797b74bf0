"""Two files on the same inputs, ready to give the values that leave their modules."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from modelexport.hierarchy.record import Record
from modelexport.rewriter.comparison.boundaries import find_boundaries
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.file_runner import FileRunner, NamedArrays, generate_inputs
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.quantisation.module_groups import (
    ModuleGroups,
    group_by_module,
    settled_values,
)
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.value_pairing import ComparedValues
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.matching import read_inputs


@dataclass(frozen=True)
class FileRun:
    """One file, ready to give its values.

    Attributes:
        runner: Runs the file.
        feeds: What it is fed.
        values: The values that can be compared.
    """

    runner: FileRunner
    feeds: Feeds
    values: ComparedValues


FileRuns = tuple[FileRun, FileRun]


def run_files(
    files: ComparedFiles,
    alignment: ModuleAlignment,
    shown: ShownModules,
    sources: tuple[Path | None, Record | None],
    libraries: list[str],
) -> tuple[FileRuns, str]:
    """Run both files on the same inputs; and say where the inputs come from.

    Args:
        files: The files.
        alignment: Which of their modules are the same.
        shown: The modules that are shown.
        sources: An .npz file of inputs, or else a record that may have some; else they are made up.
        libraries: Custom operator libraries that onnxruntime loads first.

    Raises:
        RuntimeFailedError: onnxruntime does not load or run one of the files.
        UsageError: The inputs do not fit.
    """
    boundaries = [find_boundaries(file, alignment) for file in files]
    names = [
        list(dict.fromkeys([*(value.name for value in edges.values), *file.output_names]))
        for file, edges in zip(files, boundaries, strict=True)
    ]
    runners = [
        FileRunner(
            *(file, [*own, *_read_names(file, alignment, shown)], libraries),
            settled=settled_values(file),
        )
        for file, own in zip(files, names, strict=True)
    ]
    arrays, inputs = _inputs(files[0], *sources, libraries)
    feeds = runners[0].find_feeds(arrays)
    other_feeds = runners[1].find_feeds(list(feeds.items()))
    left, right = (
        FileRun(
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


def _read_names(
    file: ComparedFile, alignment: ModuleAlignment, shown: ShownModules
) -> Iterator[str]:
    """The values that modules read from others, those around them included."""
    groups = ModuleGroups(file, partial(group_by_module, file, alignment, shown))
    return chain.from_iterable(groups.read_values().values())


def _inputs(
    file: ComparedFile, probe: Path | None, record: Record | None, libraries: list[str]
) -> tuple[NamedArrays, str]:
    """The inputs of a comparison, and where they come from."""
    if probe is not None:
        return list(read_inputs(probe)), probe.name
    if record is not None and record.probe.inputs:
        return [(entry.name, entry.to_array()) for entry in record.probe.inputs], "the record's"
    return generate_inputs(file, libraries), "generated"
