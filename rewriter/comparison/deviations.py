"""The errors of one value that both files have."""

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.differences import measure_errors
from modelexport.rewriter.comparison.results import Deviation
from modelexport.rewriter.comparison.value_pairing import Pair
from modelexport.rewriter.comparison.value_status import (
    ValueStatus,
    find_axes,
    has_same_numbers,
    nearest_axes,
)


def deviation_of(
    pair: Pair,
    tag: str,
    shape: tuple[int, ...],
    arrays: tuple[Array, Array],
    tolerance: float,
    source_lines: tuple[str, ...] = (),
) -> Deviation:
    """The errors of a pair of values. An output has to have its axes in their order.

    Args:
        pair: The pair.
        tag: Tag of the module that the value leaves.
        shape: Its shape in the first file.
        arrays: The value in both files.
        tolerance: Relative distance (0 or more) above which it diverges.
        source_lines: Lines of Python behind the node that computes it.
    """
    errors, layout = measure_errors(*arrays), None
    is_output = pair.paired_by == "output"
    if errors.diverges(tolerance) and not is_output and has_same_numbers(*arrays, tolerance):
        layout, errors = find_axes(*arrays, tolerance) or (None, errors)
    if errors.diverges(tolerance) and not is_output:
        layout, errors = nearest_axes(*arrays, errors) or (layout, errors)
    diverges = errors.diverges(tolerance)
    status = ValueStatus.DIVERGES if diverges else ValueStatus.EQUAL
    return Deviation(
        tag=tag,
        a=pair.a_name,
        b=pair.b_name,
        a_op=pair.a.op,
        b_op=pair.b.op,
        shape=shape,
        paired_by=pair.paired_by,
        **errors._asdict(),
        diverges=diverges,
        status=status if layout is None or diverges else ValueStatus.PERMUTED,
        layout=layout,
        source_lines=source_lines,
    )
