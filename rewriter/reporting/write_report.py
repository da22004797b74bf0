"""Writing a report: a page with the modules of one or two files, their costs and measurements."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.record import Record
from modelexport.rewriter.analysis.analyze_file import analyze_model
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.comparison.results import Comparison
from modelexport.rewriter.profiling.results import Profile
from modelexport.rewriter.reporting.report_data import ModuleFigures, ReportFile, report_file
from modelexport.rewriter.reporting.report_page import report_page
from modelexport.rewriter.reporting.source_code import code_around
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error
from modelexport.support.files import atomic_replacement

_Content = TypeVar("_Content")


class _PlacementOptions(NamedTuple):
    """How the modules of a file are found: keywords of `PlacedFile.open`."""

    record: Record | str | Path | None
    inherit_from: Path | None
    run: bool
    libraries: tuple[Path, ...]


def report(  # noqa: PLR0913 - keyword-only options of an entry point
    path: str | Path,
    out_path: str | Path,
    other: str | Path | None = None,
    *,
    record: Record | str | Path | None = None,
    inherit_from: str | Path | None = None,
    run: bool = True,
    libraries: tuple[Path, ...] = (),
    profile: str | Path | None = None,
    comparison: str | Path | None = None,
    dims: Mapping[str, int] | None = None,
    source_root: str | Path | None = None,
    force: bool = False,
) -> list[ReportFile]:
    """Write a page that shows the modules of one file, or of two side by side.

    Args:
        path: The annotated file, or any file of the model with `record`.
        out_path: The page to write.
        other: A second file.
        record: A trace record of the model, or its path.
        inherit_from: An annotated file of the model, in place of a record.
        run: Whether a file may be run to match it, where it carries no tags.
        libraries: Custom operator libraries that onnxruntime loads first.
        profile: JSON of `modelexport profile`, for the file of its name.
        comparison: JSON of `modelexport compare --numeric`, for the last file.
        dims: Sizes of dimensions that the files leave open, by their names.
        source_root: Folder of the model's Python files: shows the code around source lines.
        force: Overwrite `out_path` if it exists.

    Returns:
        The data of the page, one entry for each file.

    Raises:
        FileProblem: A file cannot be read or written.
        ForeignRecordError: The record is of another model.
        UsageError: A file has no hierarchy, and there is no record or annotated file to find it.
    """
    paths = [Path(path), *([] if other is None else [Path(other)])]
    times = None if profile is None else _read(Path(profile), Profile, "modelexport profile")
    errors = _errors(comparison)
    names = [file.name for file in paths]
    if times is not None and times.file not in names:
        raise UsageError(f"{profile}: it is a profile of {times.file}, not of {names[0]}.")
    annotated = None if inherit_from is None else Path(inherit_from)
    placement = _PlacementOptions(record, annotated, run, libraries)
    code_folder = None if source_root is None else Path(source_root)
    if code_folder is not None and not code_folder.is_dir():
        raise UsageError(f"{source_root}: there is no such folder.")
    sources = (record, inherit_from, profile, comparison)
    inputs = [*paths, *(Path(file) for file in sources if isinstance(file, str | Path))]
    with atomic_replacement(Path(out_path), force=force, inputs=inputs) as page:
        files = []
        for file in paths:
            figures = ModuleFigures(errors=errors if file is paths[-1] else {})
            if times is not None and file.name == times.file:
                by_tag = {module.tag: module.time for module in times.modules}
                figures = msgspec.structs.replace(figures, times=by_tag, time_unit=times.unit)
            files.append(_file(file, placement, figures, dims, code_folder))
        page.write_bytes(report_page(files))
    return files


def _file(
    path: Path,
    placement: _PlacementOptions,
    figures: ModuleFigures,
    dims: Mapping[str, int] | None,
    code_folder: Path | None,
) -> ReportFile:
    with PlacedFile.open(path, **placement._asdict()) as placed:
        analysis = analyze_model(placed.file, dims=dims, hierarchy=placed.hierarchy)
        lines: dict[str, dict[str, None]] = defaultdict(dict)
        for node, node_lines in enumerate(placed.source_lines):
            tag = placed.tag(node)
            if tag is not None:
                lines[tag].update(dict.fromkeys(node_lines))
        by_tag = {tag: tuple(tag_lines) for tag, tag_lines in lines.items()}
        code = {} if code_folder is None else code_around(chain(*by_tag.values()), code_folder)
        return report_file(
            msgspec.structs.replace(analysis, notes=[*placed.notes, *analysis.notes]),
            msgspec.structs.replace(figures, lines=by_tag, code=code),
        )


def _errors(comparison: str | Path | None) -> dict[str, float]:
    """The greatest relative error of each module's values."""
    if comparison is None:
        return {}
    content = _read(Path(comparison), Comparison, "modelexport compare --numeric")
    if content.numeric is None:
        raise UsageError(f"{comparison}: it has no numeric results: run compare with --numeric.")
    errors: dict[str, float] = {}
    for value in content.numeric.values:
        if value.relative is not None:
            errors[value.tag] = max(errors.get(value.tag, 0.0), value.relative)
    return errors


def _read(path: Path, type_: type[_Content], command: str) -> _Content:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except OSError as error:
        raise FileProblem(f"{path}: it cannot be read ({error.strerror}).") from error
    except DECODE_ERRORS as error:
        reason = explain_decode_error(error)
        raise FileProblem(f"{path}: it is not the JSON of {command} ({reason}).") from error
