"""The changed weights of one file against another."""

from functools import partial

from modelexport.hierarchy.module_values import WeightSource
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_differences import find_changed_weights
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
        lambda path: references.get(alignment.key(changed, path), {}),
        tag,
    )


def _weights(file: ComparedFile, alignment: ModuleAlignment) -> dict[str, dict[str, WeightSource]]:
    """What gives the weights of each module of a file, by the key of the module and by name."""
    reader = WeightReader(file)
    weights: dict[str, dict[str, WeightSource]] = {}
    for read in reader.reads():
        sources = weights.setdefault(alignment.key(file, read.path), {})
        sources.setdefault(read.name, partial(reader.array, read))
    return weights
