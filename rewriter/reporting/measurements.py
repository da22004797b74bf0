"""Measured errors that a report shows: the JSON of `compare --numeric`."""

from pathlib import Path

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.rewriter.comparison.results import Comparison
from modelexport.support.stored_json import convert_object, read_object

ErrorsByTag = dict[str, float]


def read_errors(path: Path) -> dict[PartRole | None, ErrorsByTag]:
    """The greatest relative error of each module's values, by the role of the part.

    The comparison of two files has no role.

    Raises:
        FileProblem: It cannot be read, or is something else.
        UsageError: It has no numbers.
    """
    command = "modelexport compare --numeric"
    content = read_object(path, command)
    comparisons: dict[PartRole | None, Comparison] = {}
    if content.keys() and content.keys() <= set(PartRole):
        of_parts = convert_object(path, content, dict[PartRole, Comparison], command)
        comparisons.update(of_parts.items())
    else:
        comparisons[None] = convert_object(path, content, Comparison, command)
    return {role: _errors(path, comparison) for role, comparison in comparisons.items()}


def _errors(path: Path, comparison: Comparison) -> ErrorsByTag:
    if comparison.numeric is None:
        raise UsageError(f"{path}: it has no numeric results: run compare with --numeric.")
    errors: ErrorsByTag = {}
    for value in comparison.numeric.values:
        if value.relative is not None:
            errors[value.tag] = max(errors.get(value.tag, 0.0), value.relative)
    return errors
