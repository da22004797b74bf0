"""Finding the modules of the two files of a comparison, also where a file carries no tags."""

from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.node_placement import Placement, PlacementSources, place_nodes
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.matching import OURS


def resolve_hierarchies(
    first: ModelFile, second: ModelFile, record: Record | None, *, run: bool
) -> tuple[ComparedFiles, list[str]]:
    """Find the hierarchy of each file.

    The nodes of a file are placed by its own tags, by the record, or by the other file if that
    carries tags, see `place_nodes`.

    Args:
        first: The first file.
        second: The second.
        record: A trace record of the model.
        run: Whether a file may be run to match it.

    Returns:
        The files with their modules, and notes on what was done.

    Raises:
        ForeignRecordError: A file is not one of the model.
        UsageError: There is no way to know the modules of a file.
    """
    left = _placement(first, second, record, run=run)
    right = _placement(second, first, record, run=run)
    files = ComparedFile(first, 0, left.hierarchy), ComparedFile(second, 1, right.hierarchy)
    return files, [note for note in (left.note, right.note) if note is not None]


def _placement(file: ModelFile, other: ModelFile, record: Record | None, *, run: bool) -> Placement:
    is_annotated = other.carried is not None and other.carried.scheme == OURS
    annotated = other if is_annotated else None
    return place_nodes(file, PlacementSources(record, annotated, run))
