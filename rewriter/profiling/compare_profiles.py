"""Comparing two profiles, module by module."""

from modelexport.errors import UsageError
from modelexport.rewriter.profiling.results import ModuleTimes, Profile, ProfileComparison


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Compare the times of the modules of two files. Modules with equal tags are the same.

    Args:
        a: The first profile.
        b: The second.

    Returns:
        The modules of both, those with the largest difference first.

    Raises:
        UsageError: The profiles count in different units.
    """
    if a.unit != b.unit:
        raise UsageError(
            f"{a.file} was measured in {a.unit} and {b.file} in {b.unit}: they cannot be compared."
        )
    first, second = ({row.tag: row for row in profile.modules} for profile in (a, b))
    rows = []
    for tag in dict.fromkeys([*first, *second]):
        time_a, time_b = (side[tag].time if tag in side else None for side in (first, second))
        ratio = time_b / time_a if time_a and time_b is not None else None
        path = (first.get(tag) or second[tag]).path
        rows.append(ModuleTimes(tag, path, time_a, time_b, ratio))
    rows.sort(key=lambda row: -abs((row.b or 0.0) - (row.a or 0.0)))
    return ProfileComparison(a, b, rows)
