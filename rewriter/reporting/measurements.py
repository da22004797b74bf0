"""Measured errors that a report shows: the JSON of `compare --numeric`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.rewriter.comparison.parity.results import ModelComparison
from modelexport.rewriter.comparison.results import Comparison, NumericComparison
from modelexport.support.stored_json import convert_object, read_object

_COMMAND = "modelexport compare --numeric"

AnyComparison = Comparison | ModelComparison


@dataclass(frozen=True)
class MeasuredErrors:
    """Errors of the modules of a file, by tag.

    Attributes:
        values: Greatest relative error of a value that leaves the module.
        local: For a file of fewer bits: the relative error that the module adds by itself.
    """

    values: dict[str, float] = field(default_factory=dict)
    local: dict[str, float] = field(default_factory=dict)


def read_errors(path: Path) -> dict[PartRole | None, MeasuredErrors]:
    """The errors of the modules of a file, by the role of the part.

    The comparison of two files, or of a model in torch with a file, has no role.

    Raises:
        FileProblem: It cannot be read, or is something else.
        UsageError: It has no numbers.
    """
    content = read_object(path, _COMMAND)
    parts: dict[PartRole | None, Any] = {None: content}
    if content.keys() and content.keys() <= set(PartRole):
        parts = {PartRole(role): part for role, part in content.items()}
    return {role: _errors(path, _comparison(path, part)) for role, part in parts.items()}


def _comparison(path: Path, content: Any) -> AnyComparison:
    if isinstance(content, dict) and "source" in content:
        return convert_object(path, content, ModelComparison, _COMMAND)
    return convert_object(path, content, Comparison, _COMMAND)


def _errors(path: Path, comparison: AnyComparison) -> MeasuredErrors:
    if isinstance(comparison, ModelComparison):
        numeric: NumericComparison | ModelComparison | None = comparison
        rows = [(row.tag.partition("@")[0], row.relative) for row in comparison.modules]
    elif (numeric := comparison.numeric) is not None:
        rows = [(value.tag, value.relative) for value in numeric.values]
    if numeric is None:
        raise UsageError(f"{path}: it has no numeric results: run compare with --numeric.")
    values: dict[str, float] = {}
    for tag, relative in rows:
        if relative is not None:
            values[tag] = max(values.get(tag, 0.0), relative)
    local = {error.tag: error.relative for error in numeric.local if error.relative is not None}
    return MeasuredErrors(values, local)
