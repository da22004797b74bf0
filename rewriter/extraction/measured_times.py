"""The time of each module, as a profile has it: for parts of about equal time."""

from pathlib import Path

from modelexport.errors import UsageError
from modelexport.hierarchy.place_options import PlaceOptions
from modelexport.hierarchy.profile_options import ProfileOptions
from modelexport.rewriter.profiling.profile_file import profile as measure_profile
from modelexport.rewriter.profiling.stored_profile import read_profiles

_RUNS = 10
"""Number of runs that are measured where no profile is given."""


def module_times(
    path: str | Path, stored: str | Path | None, placement: PlaceOptions
) -> dict[str, float]:
    """The time of the own nodes of each module, by its path.

    Args:
        path: The file.
        stored: JSON of `modelexport profile`; None to profile the file.
        placement: How the modules of the file are found.

    Raises:
        FileProblem: The profile cannot be read.
        RuntimeFailedError: The file does not run.
        UsageError: The profile is of another file, or has no time of a module.
    """
    if stored is None:
        profile = measure_profile(
            path,
            record=placement.record,
            inherit_from=placement.inherit_from,
            options=ProfileOptions(
                runs=_RUNS, libraries=placement.libraries, memory=placement.memory
            ),
        )
    else:
        profiles = read_profiles(Path(stored))
        own = [one for one in profiles if one.file == Path(path).name]
        if not own:
            names = ", ".join(one.file for one in profiles)
            raise UsageError(f"{stored}: it is a profile of {names}, not of {Path(path).name}.")
        profile = own[0]
    times = {module.path: module.self_time for module in profile.modules}
    if not any(times.values()):
        raise UsageError(f"{stored or path}: no module has any time, so no parts can be balanced.")
    return times
