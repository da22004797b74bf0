"""Comparing two files of a model, module by module."""

from contextlib import ExitStack
from pathlib import Path

from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.comparison.compare_values import Numeric, compare_values
from modelexport.rewriter.comparison.compared_file import ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.module_changes import (
    file_facts,
    module_changes,
    more_counts,
    shown_changes,
    shown_operators,
)
from modelexport.rewriter.comparison.resolve_hierarchies import resolve_hierarchies
from modelexport.rewriter.comparison.results import Comparison, Status
from modelexport.rewriter.comparison.shown_modules import choose_modules
from modelexport.support.gc_pause import gc_paused


@gc_paused()
def compare(
    a: str | Path,
    b: str | Path,
    *,
    record: Record | str | Path | None = None,
    run: bool = True,
    numeric: Numeric | None = None,
    module: str | None = None,
    depth: int | None = None,
    memory: int = DEFAULT_MEMORY,
) -> Comparison:
    """Compare two files of a model, module by module.

    Modules are aligned by their paths; the names of nodes do not count. A file that carries no
    tags of ours is matched in memory: with the record, or with the other file. Functions that
    folding made are inlined for this. Neither file is changed.

    Args:
        a: The first file. Its modules set the order, and its numbers count as the truth.
        b: The second file.
        record: A trace record of the model, or the path of the record.
        run: Whether a file may be run to match it, where it carries no tags.
        numeric: How both files are run side by side; None to compare the graphs alone.
        module: Path or tag of a module, to compare only it and what is below it.
        depth: How many steps below that (or below the root) modules are shown; the deepest stand
            for all modules inside them.
        memory: Maximum bytes of values that are in memory at one time, where a file is run to
            match it.

    Examples:
        >>> from modelexport import Numeric, compare
        >>> result = compare("net.annotated.onnx", "changed.onnx", numeric=Numeric())
        >>> result.same
        False
        >>> [row.tag for row in result.changes()]  # the graphs are alike
        []
        >>> result.numeric.first  # but not the numbers
        '/Net/layer.1/fc'
        >>> compare("net.annotated.onnx", "changed.onnx", numeric=Numeric(), depth=1).numeric.first
        '/Net/layer.1'
        >>> compare("net.annotated.onnx", "changed.onnx", numeric=Numeric(), module="layer.0").same
        True

    Returns:
        What differs, module by module.

    Raises:
        FileProblem: A file cannot be read.
        ForeignRecordError: A file that carries no tags is not one of the record's model.
        RuntimeFailedError: A file does not run.
        UsageError: There is no way to know a file's modules, the inputs do not fit, or neither
            file has such a module.
    """
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with ExitStack() as stack:
        first = stack.enter_context(ModelFile.open(a))
        second = stack.enter_context(ModelFile.open(b, similar=first))
        files, notes = resolve_hierarchies(first, second, record, run=run, memory=memory)
        return _compare(files, notes, record, numeric, module, depth)


def _compare(
    files: ComparedFiles,
    notes: list[str],
    record: Record | None,
    numeric: Numeric | None,
    module: str | None,
    depth: int | None,
) -> Comparison:
    """Compare two opened files; the arguments are those of `compare`."""
    alignment = ModuleAlignment(files)
    changes = module_changes(files, alignment)
    shown = choose_modules(files, alignment, changes, module, depth)
    rows = shown_changes(files, alignment, changes, shown)
    values = None
    if numeric is not None:
        values = compare_values(files, alignment, numeric, record, shown)
    facts_a, facts_b = (file_facts(file) for file in files)
    operators_a, operators_b = (shown_operators(file, alignment, shown) for file in files)
    same_untagged = not shown.everything or facts_a.untagged == facts_b.untagged
    same_modules = all(row.status is Status.SAME for row in rows)
    return Comparison(
        a=facts_a,
        b=facts_b,
        same=same_untagged and same_modules and (values is None or values.same),
        gained=more_counts(operators_b, operators_a),
        lost=more_counts(operators_a, operators_b),
        modules=rows,
        numeric=values,
        notes=[*notes, *filter(None, [alignment.note])],
        module=None if shown.top is None else alignment.tag(shown.top),
        depth=depth,
    )
