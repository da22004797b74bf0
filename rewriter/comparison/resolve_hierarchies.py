"""Finding the modules of the two files of a comparison, also where a file carries no tags."""

from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.node_placement import PlacementSources, place_nodes
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.matching import OURS


def resolve_hierarchies(
    first: ModelFile, second: ModelFile, record: Record | None, *, run: bool, memory: int
) -> tuple[ComparedFiles, list[str]]:
    """Find the hierarchy of each file.

    The nodes of a file are placed by its own tags, by the record, or by the other file if that
    carries tags, see `place_nodes`.

    Args:
        first: The first file.
        second: The second.
        record: A trace record of the model.
        run: Whether a file may be run to match it.
        memory: Maximum bytes of values that are in memory at one time, where one is run.

    Returns:
        The files with their modules, and notes on what was done.

    Raises:
        ForeignRecordError: A file is not one of the model.
        UsageError: There is no way to know the modules of a file.
    """
    matching = MatchOptions(run=run, memory=memory)
    left, right = (
        place_nodes(file, PlacementSources(record, _annotated(other), matching))
        for file, other in ((first, second), (second, first))
    )
    files = ComparedFile(first, 0, left.hierarchy), ComparedFile(second, 1, right.hierarchy)
    return files, [note for note in (left.note, right.note) if note is not None]


def _annotated(file: ModelFile) -> ModelFile | None:
    """The file, if it carries tags of ours."""
    return file if file.carried is not None and file.carried.scheme == OURS else None
