"""`modelexport doctor`."""

from typing import TYPE_CHECKING

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.verbosity import verbosity
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from modelexport.pipeline import Diagnosis


def doctor(context: typer.Context, *, output_format: common.OutputFormat = TextFormat.TEXT) -> None:
    """Show the versions of the packages that modelexport needs, and how to get missing ones.

    Exits with 1 if a package is missing that every command needs.
    """
    diagnosis = modelexport.diagnose()
    if output_format is TextFormat.JSON:
        print_json(diagnosis)
    elif not (diagnosis.good and verbosity(context).quiet):
        _print_diagnosis(diagnosis)
    if not diagnosis.good:
        raise typer.Exit(1)


def _print_diagnosis(diagnosis: "Diagnosis") -> None:
    out = console()
    versions = f"modelexport {diagnosis.modelexport}, Python {diagnosis.python}"
    out.print(f"{versions}, {diagnosis.system}")
    width = max(len(package.name) for package in diagnosis.packages)
    for extra in dict.fromkeys(package.extra for package in diagnosis.packages):
        out.print()
        out.print(f"{'needed by all commands' if extra is None else f'extra [{extra}]'}")
        for package in diagnosis.packages:
            if package.extra == extra:
                version = package.installed or "missing"
                needed = "" if package.good else f" (needs {package.required or 'any version'})"
                out.print(f"  {package.name:<{width}}  {version}{needed}")
        if (command := diagnosis.missing.get(extra or "")) is not None:
            out.print(f"  to get what is missing: {command}")
