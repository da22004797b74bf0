"""Writing a report: the modules of one or two files, what they cost, and what was measured."""

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
from modelexport.rewriter.reporting.report_data import Measured, ReportFile, report_file
from modelexport.rewriter.reporting.source_code import code_around
from modelexport.rewriter.reporting.write_page import report_page
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.files import atomic_replacement

_Content = TypeVar("_Content")


class _Placing(NamedTuple):
    """How the modules of a file are found, as `PlacedFile.open` takes it."""

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
        What the page shows, a value for each file.

    Raises:
        FileProblem: A file cannot be read or written as asked.
        ForeignRecordError: The record is of another model.
        UsageError: There is no way to know the modules of a file.
    """
    paths = [Path(path), *([] if other is None else [Path(other)])]
    times = None if profile is None else _read(Path(profile), Profile, "modelexport profile")
    errors = _errors(comparison)
    names = [file.name for file in paths]
    if times is not None and times.file not in names:
        raise UsageError(f"{profile}: it is a profile of {times.file}, not of {names[0]}.")
    placing = _Placing(record, None if inherit_from is None else Path(inherit_from), run, libraries)
    code_folder = None if source_root is None else Path(source_root)
    if code_folder is not None and not code_folder.is_dir():
        raise UsageError(f"{source_root}: there is no such folder.")
    read = (record, inherit_from, profile, comparison)
    given = [Path(file) for file in read if isinstance(file, str | Path)]
    with atomic_replacement(Path(out_path), force=force, inputs=[*paths, *given]) as page:
        files = []
        for file in paths:
            measured = Measured(errors=errors if file is paths[-1] else {})
            if times is not None and file.name == times.file:
                by_tag = {module.tag: module.time for module in times.modules}
                measured = msgspec.structs.replace(measured, times=by_tag, time_unit=times.unit)
            files.append(_file(file, placing, measured, dims, code_folder))
        page.write_bytes(report_page(files))
    return files


def _file(
    path: Path,
    placing: _Placing,
    measured: Measured,
    dims: Mapping[str, int] | None,
    code_folder: Path | None,
) -> ReportFile:
    with PlacedFile.open(path, **placing._asdict()) as placed:
        analysis = analyze_model(placed.file, dims=dims, hierarchy=placed.hierarchy)
        lines: dict[str, dict[str, None]] = defaultdict(dict)
        for node, of_node in enumerate(placed.source_lines):
            tag = placed.tag(node)
            if tag is not None:
                lines[tag].update(dict.fromkeys(of_node))
        by_tag = {tag: tuple(of_tag) for tag, of_tag in lines.items()}
        code = {} if code_folder is None else code_around(chain(*by_tag.values()), code_folder)
        return report_file(
            msgspec.structs.replace(analysis, notes=[*placed.notes, *analysis.notes]),
            msgspec.structs.replace(measured, lines=by_tag, code=code),
        )


def _errors(comparison: str | Path | None) -> dict[str, float]:
    """The greatest relative error of each module's values."""
    if comparison is None:
        return {}
    content = _read(Path(comparison), Comparison, "modelexport compare --numeric")
    if content.numeric is None:
        raise UsageError(f"{comparison}: it has no numbers: compare the files with --numeric.")
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
    except msgspec.DecodeError as error:
        reason = explain_decode_error(error)
        raise FileProblem(f"{path}: it is no JSON of {command} ({reason}).") from error
