"""Two profiles side by side, module by module."""

from modelexport.errors import UsageError
from modelexport.rewriter.profiling.results import ModuleTimes, Profile, ProfileComparison


def compare_profiles(a: Profile, b: Profile) -> ProfileComparison:
    """Hold the times of the modules of two files side by side.

    Modules are the same when their tags are.

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
    first, second = ({row.tag: row for row in side.modules} for side in (a, b))
    rows = []
    for tag in dict.fromkeys([*first, *second]):
        left, right = first.get(tag), second.get(tag)
        times = [None if row is None else row.time for row in (left, right)]
        ratio = times[1] / times[0] if times[0] and times[1] is not None else None
        row = left or right
        assert row is not None
        rows.append(ModuleTimes(tag, row.path, times[0], times[1], ratio))
    rows.sort(key=lambda row: -abs((row.b or 0.0) - (row.a or 0.0)))
    return ProfileComparison(a, b, rows)
