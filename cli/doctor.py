"""`modelexport doctor`."""

from typing import TYPE_CHECKING

import typer

from modelexport.cli import options
from modelexport.cli.output import TextFormat, console, print_json, talk

if TYPE_CHECKING:
    from modelexport.pipeline import Diagnosis


def doctor(
    context: typer.Context, *, output_format: options.OutputFormat = TextFormat.TEXT
) -> None:
    """Show the versions of what modelexport needs, and how to get what is missing.

    Exits with 1 when something is missing that every command needs.
    """
    from modelexport.pipeline import diagnose  # noqa: PLC0415 - loads when it is needed

    found = diagnose()
    if output_format is TextFormat.JSON:
        print_json(found)
    elif not (found.good and talk(context).quiet):
        _show(found)
    if not found.good:
        raise typer.Exit(1)


def _show(found: "Diagnosis") -> None:
    out = console()
    out.print(f"modelexport {found.modelexport}, Python {found.python}, {found.system}")
    widest = max(len(package.name) for package in found.packages)
    for extra in dict.fromkeys(package.extra for package in found.packages):
        out.print(f"\n{'needed by all' if extra is None else f'extra [{extra}]'}")
        for package in found.packages:
            if package.extra == extra:
                state = package.found or "missing"
                wish = "" if package.good else f" (needs {package.wanted or 'any version'})"
                out.print(f"  {package.name:<{widest}}  {state}{wish}")
        if (command := found.missing.get(extra or "")) is not None:
            out.print(f"  to get what is missing: {command}")
