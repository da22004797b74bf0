"""Printing profiles: of one model, or of two side by side; by module or by line of Python."""

from typing import TYPE_CHECKING, NamedTuple

import modelexport
from modelexport.cli.console import print_document, print_json, print_notes
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, ProfileFormat
from modelexport.support.visible_text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from modelexport.cli.tables import Grid
    from modelexport.rewriter import PartsProfile, Profile

    AnyProfile = Profile | PartsProfile


class ProfilePrinter(NamedTuple):
    """Prints profiles as the options say.

    Attributes:
        output_format: The format.
        every_module: Whether equal siblings are listed one by one in the tree.
        out: Where text goes.
    """

    output_format: ProfileFormat
    every_module: bool
    out: "Console"

    def print_modules(self, profiles: "list[AnyProfile]") -> None:
        """Print times by module.

        Args:
            profiles: One profile, or two to show side by side.
        """
        from modelexport.cli import render_profile  # noqa: PLC0415 - rich loads when it is needed
        from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

        first = profiles[0]
        if self.output_format is ProfileFormat.CSV:
            render_profile.write_csv([p for profile in profiles for p in _profiles(profile)])
        elif self.output_format is ProfileFormat.JSON:
            two = len(profiles) == 2
            print_json(modelexport.compare_profiles(*map(_whole, profiles)) if two else first)
        elif len(profiles) == 2:
            wholes = list(map(_whole, profiles))
            grid = render_profile.side_by_side(modelexport.compare_profiles(*wholes))
            self._print_grid(grid, render_profile.file_summaries(wholes))
        else:
            parts = first.parts if isinstance(first, PartsProfile) else {}
            self._print_one(_whole(first), parts)

    def print_lines(self, profiles: "list[AnyProfile]") -> None:
        """Print times by line of Python.

        Args:
            profiles: One profile, or two to show side by side.

        Raises:
            UsageError: No lines are known of a file.
        """
        from modelexport.cli import render_line_times  # noqa: PLC0415 - rich loads when it is needed
        from modelexport.cli.render_profile import (  # noqa: PLC0415 - likewise
            file_summaries,
            summary,
        )

        wholes = list(map(_whole, profiles))
        for whole in wholes:
            if not whole.lines:
                raise UsageError(
                    f"{whole.file}: no source lines are known. Give --record RECORD, or annotate "
                    "the file with --source-lines."
                )
        comparison = modelexport.compare_profiles(*wholes) if len(wholes) == 2 else None
        if self.output_format is ProfileFormat.JSON:
            print_json(comparison or profiles[0])
        elif self.output_format is ProfileFormat.CSV:
            render_line_times.write_csv([p for profile in profiles for p in _profiles(profile)])
        elif comparison is None:
            self._print_grid(render_line_times.table(wholes[0]), [summary(wholes[0])])
        else:
            self._print_grid(render_line_times.side_by_side(comparison), file_summaries(wholes))

    def _print_grid(self, grid: "Grid", texts: "Iterable[str]") -> None:
        """Print a table and what is said about it: below it, in a document before it."""
        if self.output_format is ProfileFormat.MARKDOWN:
            print_document("\n\n".join([*texts, grid.markdown()]))
            return
        for part in (grid, *map(visible_line, texts)):
            self.out.print(part)

    def _print_one(self, whole: "Profile", parts: "Mapping[PartRole, Profile]") -> None:
        """Print the profile of a file, or of a folder with the times of its parts."""
        from modelexport.cli import render_profile  # noqa: PLC0415 - rich loads when it is needed

        modules = render_profile.by_part(whole, parts) if parts else render_profile.table(whole)
        if self.output_format is ProfileFormat.MARKDOWN:
            grids = [modules, render_profile.operators(whole)]
            summaries = list(render_profile.summaries(whole, parts))
            print_document("\n\n".join([*summaries, *(g.markdown() for g in grids)]))
            return
        if self.output_format is ProfileFormat.TABLE:
            self.out.print(modules)
            self.out.print(render_profile.operators(whole))
        else:
            for branch in render_profile.tree(whole, every_module=self.every_module):
                self.out.print(branch)
        for line in render_profile.summaries(whole, parts):
            self.out.print(visible_line(line))


def print_profile_notes(result: "AnyProfile") -> None:
    """Print the notes about each profiled file on standard error."""
    for profile in _profiles(result):
        print_notes(profile.file, profile.notes)


def _profiles(result: "AnyProfile") -> "list[Profile]":
    """The profile of a file; of a folder, that of each part."""
    from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

    return list(result.parts.values()) if isinstance(result, PartsProfile) else [result]


def _whole(result: "AnyProfile") -> "Profile":
    """The profile of a file; of a folder, that of all parts together."""
    from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

    return result.whole if isinstance(result, PartsProfile) else result
