"""Reading profiles that `modelexport profile` wrote as JSON."""

from pathlib import Path

from modelexport.rewriter.profiling.results import PartsProfile, Profile
from modelexport.support.stored_json import convert_object, read_object

_COMMAND = "modelexport profile"


def read_profiles(path: Path) -> list[Profile]:
    """The profile of a file, or those of the parts of a folder.

    Raises:
        FileProblem: It cannot be read, or is something else.
    """
    content = read_object(path, _COMMAND)
    if "parts" in content:
        return list(convert_object(path, content, PartsProfile, _COMMAND).parts.values())
    return [convert_object(path, content, Profile, _COMMAND)]
