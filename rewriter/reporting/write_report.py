"""Writing a report: a page with the modules of one or two files, their costs and measurements."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Unpack

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.place_options import PlaceKeywords, PlaceOptions
from modelexport.rewriter.analysis.analyze_file import analyze_model
from modelexport.rewriter.analysis.results import Analysis
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.profiling.results import Profile
from modelexport.rewriter.profiling.stored_profile import read_profiles
from modelexport.rewriter.reporting.measurements import MeasuredErrors, read_errors
from modelexport.rewriter.reporting.report_data import ModuleFigures, ReportFile, report_file
from modelexport.rewriter.reporting.report_page import report_page
from modelexport.rewriter.reporting.shown_files import ShownFile, shown_files
from modelexport.rewriter.reporting.source_code import code_around
from modelexport.support.files import atomic_replacement


def report(
    path: str | Path,
    out_path: str | Path,
    other: str | Path | None = None,
    *,
    profile: str | Path | None = None,
    comparison: str | Path | None = None,
    dims: Mapping[str, int] | None = None,
    source_root: str | Path | None = None,
    force: bool = False,
    **placement: Unpack[PlaceKeywords],
) -> list[ReportFile]:
    """Write a page that shows the modules of one file, or of two side by side.

    Of a folder of parts all files are shown, side by side in the tree of the whole model.

    Args:
        path: The annotated file, or any file of the model with `record`; or a folder of parts.
        out_path: The page to write.
        other: A second file or folder.
        profile: JSON of `modelexport profile`, for the file of its name, or for the parts.
        comparison: JSON of `modelexport compare --numeric`, for the last file or folder.
        dims: Sizes of dimensions that the files leave open, by their names.
        source_root: Folder of the model's Python files: shows the code around source lines.
        force: Overwrite `out_path` if it exists.
        placement: How the modules are found, see `PlaceOptions`: `record`, `inherit_from`, `run`,
            `libraries`, `memory`. For a folder of parts the record, or the annotated file, is a
            folder too; by default each part has its own record.

    Returns:
        The data of the page, one entry for each file.

    Examples:
        >>> from modelexport import report
        >>> [page.file for page in report("net.annotated.onnx", "report.html")]
        ['net.annotated.onnx']

    Raises:
        FileProblem: A file cannot be read or written.
        ForeignRecordError: The record is of another model.
        UsageError: A file has no hierarchy, and there is no record or annotated file to find it.
    """
    options = PlaceOptions(**placement)
    models = [Path(path), *([] if other is None else [Path(other)])]
    files_of = [list(shown_files(model, options, several=len(models) > 1)) for model in models]
    shown = [file for files in files_of for file in files]
    times = [] if profile is None else _read_times(Path(profile), shown)
    errors = {} if comparison is None else read_errors(Path(comparison))
    code_folder = None if source_root is None else Path(source_root)
    if code_folder is not None and not code_folder.is_dir():
        raise UsageError(f"{source_root}: there is no such folder.")
    inputs = [source for file in shown for source in (file.path, file.record, file.inherit_from)]
    paths = [Path(i) for i in (*inputs, profile, comparison) if isinstance(i, str | Path)]
    with atomic_replacement(Path(out_path), force=force, inputs=paths) as page:
        contents = []
        for file in shown:
            figures = _with_times(file, times)
            if file in files_of[-1]:
                measured = errors.get(file.role, MeasuredErrors())
                figures = msgspec.structs.replace(
                    figures, errors=measured.values, local_errors=measured.local
                )
            sources = PlaceKeywords(record=file.record, inherit_from=file.inherit_from)
            with PlacedFile.open(file.path, **(placement | sources)) as placed:
                analysis, figures = _page_data(placed, figures, dims, code_folder)
            contents.append((msgspec.structs.replace(analysis, file=file.name), figures))
        every = [analysis for analysis, _ in contents]
        pages = [
            report_file(analysis, figures, [other for other in every if other is not analysis])
            for analysis, figures in contents
        ]
        page.write_bytes(report_page(pages))
    return pages


def _read_times(path: Path, shown: Sequence[ShownFile]) -> list[Profile]:
    """The profiles in a file.

    Raises:
        FileProblem: The file cannot be read.
        UsageError: One of them is of a file that the page does not show.
    """
    profiles = read_profiles(path)
    names = dict.fromkeys(file.path.name for file in shown)
    for profile in profiles:
        if profile.file not in names:
            raise UsageError(
                f"{path}: it is a profile of {profile.file}, not of {', '.join(names)}."
            )
    return profiles


def _with_times(file: ShownFile, profiles: Sequence[Profile]) -> ModuleFigures:
    """The times of a file's modules, if one of the profiles is of this file."""
    for profile in profiles:
        if profile.file == file.path.name:
            by_tag = {module.tag: module.time for module in profile.modules}
            return ModuleFigures(times=by_tag, time_unit=profile.unit)
    return ModuleFigures()


def _page_data(
    placed: PlacedFile,
    figures: ModuleFigures,
    dims: Mapping[str, int] | None,
    code_folder: Path | None,
) -> tuple[Analysis, ModuleFigures]:
    """What the page shows of one file: its sums, and these figures with lines and code."""
    analysis = analyze_model(placed.file, dims=dims, hierarchy=placed.hierarchy)
    lines: dict[str, dict[str, None]] = defaultdict(dict)
    for node, node_lines in enumerate(placed.source_lines):
        tag = placed.tag(node)
        if tag is not None:
            lines[tag].update(dict.fromkeys(node_lines))
    by_tag = {tag: tuple(tag_lines) for tag, tag_lines in lines.items()}
    code = {} if code_folder is None else code_around(chain(*by_tag.values()), code_folder)
    return (
        msgspec.structs.replace(analysis, notes=[*placed.notes, *analysis.notes]),
        msgspec.structs.replace(figures, lines=by_tag, code=code),
    )
