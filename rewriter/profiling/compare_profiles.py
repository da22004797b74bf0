"""Comparing two profiles, module by module."""

from modelexport.errors import UsageError
from modelexport.rewriter.profiling.results import (
    LineTimes,
    ModuleTimes,
    Profile,
    ProfileComparison,
)


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Compare the times of the modules of two files. Modules with equal tags are the same.

    Args:
        a: The first profile.
        b: The second.

    Returns:
        The modules of both, those with the largest difference first.

    Examples:
        >>> from modelexport import compare_profiles, profile
        >>> as_written = profile("net.annotated.onnx", level="disable", runs=3)
        >>> optimised = profile("net.annotated.onnx", level="all", runs=3)
        >>> sorted(row.tag for row in compare_profiles(as_written, optimised).modules)[:3]
        ['/Net', '/Net/layer', '/Net/layer.0']

    Raises:
        UsageError: The profiles count in different units, or no module is in both.
    """
    if a.unit != b.unit:
        raise UsageError(
            f"{a.file} was measured in {a.unit} and {b.file} in {b.unit}: they cannot be compared."
        )
    first, second = ({row.tag: row for row in profile.modules} for profile in (a, b))
    if not first.keys() & second.keys():
        raise UsageError(
            f"{a.file} and {b.file} have no module in common: they are files of different models."
        )
    rows = []
    for tag in dict.fromkeys([*first, *second]):
        times = _times(*(side[tag].time if tag in side else None for side in (first, second)))
        path = (first.get(tag) or second[tag]).path
        rows.append(ModuleTimes(tag, path, *times))
    return ProfileComparison(a, b, sorted(rows, key=_difference), _compare_lines(a, b))


def _compare_lines(a: Profile, b: Profile) -> list[LineTimes]:
    first, second = ({row.line: row.time for row in profile.lines} for profile in (a, b))
    lines = dict.fromkeys([*first, *second])
    rows = [LineTimes(line, *_times(first.get(line), second.get(line))) for line in lines]
    return sorted(rows, key=_difference)


def _times(a: float | None, b: float | None) -> tuple[float | None, float | None, float | None]:
    """Both times, and the second over the first."""
    return a, b, b / a if a and b is not None else None


def _difference(row: ModuleTimes | LineTimes) -> float:
    """The largest difference comes first."""
    return -abs((row.b or 0.0) - (row.a or 0.0))
