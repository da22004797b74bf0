"""The changed weights of one file against another."""

from functools import partial

from modelexport.hierarchy.module_values import WeightSource
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_differences import Owners, find_changed_weights
from modelexport.rewriter.comparison.weights.weight_numbers import WeightReader


def changed_weights(
    files: ComparedFiles, alignment: ModuleAlignment, shown: ShownModules
) -> list[ChangedWeight]:
    """The weights of modules that are shown that are not those of the first file, rounded.

    Args:
        files: The files.
        alignment: Which of their modules are the same.
        shown: The modules that are shown.
    """
    reference, changed = files
    references = _weights(reference, alignment)

    def tag(path: str) -> str | None:
        key = shown.shown_as(alignment.key(changed, path))
        return None if key is None else alignment.tag(key)

    return find_changed_weights(
        WeightReader(changed),
        lambda owners: references.get(_keys(changed, alignment, owners), {}),
        tag,
    )


def _weights(
    file: ComparedFile, alignment: ModuleAlignment
) -> dict[Owners, dict[str, WeightSource]]:
    """What gives the weights of a file, by the keys of the modules that own them and by name."""
    reader = WeightReader(file)
    weights: dict[Owners, dict[str, WeightSource]] = {}
    for read in reader.reads():
        sources = weights.setdefault(_keys(file, alignment, read.owners), {})
        sources.setdefault(read.name, partial(reader.array, read))
    return weights


def _keys(file: ComparedFile, alignment: ModuleAlignment, owners: Owners) -> Owners:
    return tuple(sorted(alignment.key(file, path) for path in owners))
