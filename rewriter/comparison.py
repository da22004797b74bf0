"""Comparing two files of a model, by module."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from hierarchy.record import Record, read_record
from rewriter.comparing.modules import counts, facts, module_changes
from rewriter.comparing.numeric import Numeric, compare_values
from rewriter.comparing.results import Comparison
from rewriter.comparing.sides import Side, tell
from rewriter.comparing.units import Units
from rewriter.container import OnnxContainer


def compare(
    a: str | Path,
    b: str | Path,
    *,
    record: Record | str | Path | None = None,
    run: bool = True,
    numeric: Numeric | None = None,
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

    Examples:
        >>> from rewriter import Numeric, compare
        >>> found = compare("net.annotated.onnx", "changed.onnx", numeric=Numeric())
        >>> found.same
        False
        >>> [row.tag for row in found.changes()]  # the graphs are alike
        []
        >>> found.numeric.first  # but not the numbers
        '/Net/layer.1/fc'

    Returns:
        What differs, module by module.

    Raises:
        FileProblem: A file cannot be read.
        ForeignRecordError: A file that carries no tags is not one of the record's model.
        RuntimeFailedError: A file does not run.
        UsageError: Nothing tells a file's modules, or the inputs do not fit.
    """
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with ExitStack() as stack:
        left, right = (Side(stack.enter_context(OnnxContainer.open(path))) for path in (a, b))
        sides = left, right
        notes = tell(sides, record, run=run)
        units = Units(sides)
        rows = module_changes(sides, units)
        values = None if numeric is None else compare_values(sides, units, numeric, record)
        files = facts(left), facts(right)
    kinds = [Counter(each.op_types) for each in files]
    result = Comparison(
        a=files[0],
        b=files[1],
        same=False,
        gained=counts(kinds[1] - kinds[0]),
        lost=counts(kinds[0] - kinds[1]),
        modules=rows,
        numeric=values,
        notes=[*notes, *filter(None, [units.note])],
    )
    alike = files[0].untagged == files[1].untagged and not any(True for _ in result.changes())
    result.same = alike and (values is None or values.same)
    return result
