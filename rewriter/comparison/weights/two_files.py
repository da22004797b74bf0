"""The changed weights of one file against another."""

from collections.abc import Callable
from functools import partial

from modelexport.hierarchy.module_values import WeightSource
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.weights.file_norms import find_norms
from modelexport.rewriter.comparison.weights.reference_weights import Owners, ReferenceWeights
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

    def tag(path: str) -> str | None:
        key = shown.shown_as(alignment.key(changed, path))
        return None if key is None else alignment.tag(key)

    return find_changed_weights(
        WeightReader(changed),
        _reference_weights(reference, alignment),
        partial(alignment.key, changed),
        tag,
    )


def _reference_weights(file: ComparedFile, alignment: ModuleAlignment) -> ReferenceWeights:
    """The weights of a file by the keys of its modules."""
    reader, key = WeightReader(file), partial(alignment.key, file)
    norms = find_norms(reader)
    return ReferenceWeights(
        _sources(reader, key),
        {key(norm.path): norm.channels for norm in norms},
        {key(path): key(norm.path) for norm in norms for path in norm.before},
    )


def _sources(
    reader: WeightReader, key: Callable[[str], str]
) -> dict[Owners, dict[str, WeightSource]]:
    """What gives the weights of a file, by the modules that own them and by name."""
    weights: dict[Owners, dict[str, WeightSource]] = {}
    for read in reader.reads:
        sources = weights.setdefault(frozenset(map(key, read.owners)), {})
        sources.setdefault(read.name, partial(reader.array, read))
    return weights
