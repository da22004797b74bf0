"""What all commands have in common: verbosity options, and help in sections."""

from typing import Any

import typer
from typer.core import TyperCommand

from modelexport.cli.verbosity import Quiet, Verbose


def _verbosity_options(*, verbose: Verbose = False, quiet: Quiet = False) -> None:
    """Only here for its options."""


_app = typer.Typer(add_completion=False)
_app.command()(_verbosity_options)
_VERBOSITY_OPTIONS = typer.main.get_command(_app).params


class Command(TyperCommand):
    """A command that takes --verbose and --quiet after its name, and groups options in its help."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **options: Any) -> None:
        super().__init__(*args, params=[*(params or ()), *_VERBOSITY_OPTIONS], **options)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each topic of options.

        It is plain text: nothing is cut off, whatever the width of the terminal.
        """
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (line := param.get_help_record(ctx)) is not None:
                default = f"{param.param_type_name}s".capitalize()
                title = getattr(param, "rich_help_panel", None) or default
                sections.setdefault(title, []).append(line)
        general = sections.pop("Options")
        for title, lines in [*sections.items(), ("Options", general)]:
            with formatter.section(title):
                formatter.write_dl(lines)
