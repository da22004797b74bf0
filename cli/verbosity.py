"""How much the commands print: the options --verbose and --quiet."""

from typing import Annotated

import msgspec
import typer


class Verbosity(msgspec.Struct):
    """How much to print.

    Attributes:
        verbose: Print tracebacks and every detail.
        quiet: Print results and errors only.
    """

    verbose: bool = False
    quiet: bool = False


def verbosity(context: typer.Context) -> Verbosity:
    """What the user chose, before or after the command's name."""
    return context.ensure_object(Verbosity)


def _set_verbose(context: typer.Context, value: bool) -> None:
    verbosity(context).verbose |= value


def _set_quiet(context: typer.Context, value: bool) -> None:
    verbosity(context).quiet |= value


Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_set_verbose,
        expose_value=False,
        help="Print tracebacks and every detail.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_set_quiet,
        expose_value=False,
        help="Print only results and errors.",
    ),
]
