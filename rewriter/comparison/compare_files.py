"""Comparing two files of a model, by module."""

from contextlib import ExitStack
from pathlib import Path

from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter.comparison.compare_values import Numeric, compare_values
from modelexport.rewriter.comparison.compared_file import Side, tell
from modelexport.rewriter.comparison.module_alignment import Units
from modelexport.rewriter.comparison.module_changes import (
    counts,
    facts,
    module_changes,
    operators,
    shown_changes,
)
from modelexport.rewriter.comparison.results import Comparison
from modelexport.rewriter.comparison.shown_modules import choose
from modelexport.rewriter.container import OnnxContainer


def compare(
    a: str | Path,
    b: str | Path,
    *,
    record: Record | str | Path | None = None,
    run: bool = True,
    numeric: Numeric | None = None,
    module: str | None = None,
    depth: int | None = None,
) -> Comparison:
    """Hold two files of a model side by side.

    Modules are aligned by their paths, whatever the nodes are called. A file that carries no tags
    of ours is matched in memory: with the record, or with the other file. Functions that folding
    made are nodes again for this. Neither file is changed.

    Args:
        a: The first file; its modules set the order, and its numbers count as the truth.
        b: The second.
        record: A trace record of the model, or its path.
        run: Whether a file may be run to match it, where that needs matching.
        numeric: How both are run side by side; None to compare the graphs alone.
        module: Path or tag of a module, to compare it and what is below it alone.
        depth: How many steps below that (or below the root) modules are shown; the deepest stand
            for all inside them.

    Examples:
        >>> from modelexport.rewriter import Numeric, compare
        >>> found = compare("net.annotated.onnx", "changed.onnx", numeric=Numeric())
        >>> found.same
        False
        >>> [row.tag for row in found.changes()]  # the graphs are alike
        []
        >>> found.numeric.first  # but not the numbers
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
        UsageError: Nothing tells a file's modules, the inputs do not fit, or neither file has such
            a module.
    """
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with ExitStack() as stack:
        left, right = (Side(stack.enter_context(OnnxContainer.open(path))) for path in (a, b))
        sides = left, right
        notes = tell(sides, record, run=run)
        units = Units(sides)
        every = module_changes(sides, units)
        shown = choose(sides, units, every, module, depth)
        rows = shown_changes(sides, units, every, shown)
        values = None if numeric is None else compare_values(sides, units, numeric, record, shown)
        files = facts(left), facts(right)
        kinds = [operators(side, number, units, shown) for number, side in enumerate(sides)]
    result = Comparison(
        a=files[0],
        b=files[1],
        same=False,
        gained=counts(kinds[1] - kinds[0]),
        lost=counts(kinds[0] - kinds[1]),
        modules=rows,
        numeric=values,
        notes=[*notes, *filter(None, [units.note])],
        module=None if shown.top is None else units.tag(shown.top),
        depth=depth,
    )
    untagged = shown.everything and files[0].untagged != files[1].untagged
    alike = not untagged and not any(True for _ in result.changes())
    result.same = alike and (values is None or values.same)
    return result
