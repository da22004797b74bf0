"""The changed weights of one file against another."""

from collections.abc import Callable
from functools import partial

from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.comparison.weights.file_norms import find_norms
from modelexport.rewriter.comparison.weights.reference_weights import (
    Owners,
    ReferenceWeight,
    ReferenceWeights,
)
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_differences import find_changed_weights
from modelexport.rewriter.comparison.weights.weight_numbers import WeightRead, WeightReader


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

    def tag(key: str) -> str | None:
        shown_key = shown.shown_as(key)
        return None if shown_key is None else alignment.tag(shown_key)

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
        _weights(reader, key),
        {key(norm.path): norm.channels for norm in norms},
        {key(path): key(norm.path) for norm in norms for path in norm.before},
    )


def _weights(
    reader: WeightReader, key: Callable[[str], str]
) -> dict[Owners, list[ReferenceWeight]]:
    """The weights of a file by the modules whose nodes read them."""
    reads: dict[Owners, dict[str, WeightRead]] = {}
    for read in reader.reads:
        reads.setdefault(frozenset(map(key, read.owners)), {}).setdefault(read.name, read)
    return {
        owners: [
            ReferenceWeight(
                *(name, owners, partial(reader.array, read)),
                parameter=_parameter(read, key),
            )
            for name, read in names.items()
        ]
        for owners, names in reads.items()
    }


def _parameter(read: WeightRead, key: Callable[[str], str]) -> tuple[str, str] | None:
    """Key of the module whose parameter a weight is, and the name there."""
    if read.parameter is None:
        return None
    path, _, name = read.parameter.rpartition(".")
    return key(path), name
