"""The command line: what all commands have in common, and the one place that maps errors.

Exit codes: 0 done; 1 the answer is "no"; 2 wrong use or bad input, in one sentence; 130 stopped.
"""

import os
import sys
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

import typer

from cli.analyze import analyze
from cli.annotate import annotate
from cli.batch import batch
from cli.output import Talk, complain, talk
from cli.strip import strip
from cli.trace import trace
from cli.validate import validate
from hierarchy.errors import ModelExportError

app = typer.Typer(
    name="modelexport",
    help="Hierarchy-preserving ONNX: every node of an ONNX file knows the PyTorch module it "
    "came from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(trace)
app.command()(annotate)
app.command()(analyze)
app.command()(validate)
app.command()(strip)
app.command()(batch)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            found = version("modelexport")
        except PackageNotFoundError:
            found = "(not installed)"
        typer.echo(f"modelexport {found}")
        raise typer.Exit


@app.callback()
def levels(
    context: typer.Context,
    *,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show tracebacks and every detail.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print results and errors only.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that stand before the command."""
    chosen = talk(context)
    chosen.verbose, chosen.quiet = verbose, quiet


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    chosen = Talk()
    sys.exit(_run(arguments, chosen))


def _run(arguments: list[str] | None, chosen: Talk) -> int:
    """The exit code of one run; every error becomes a sentence here and nowhere else."""
    try:
        returned: Any = app(args=arguments, standalone_mode=False, obj=chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_output()
        return 0  # whoever read us has seen enough
    except (KeyboardInterrupt, typer.Abort):
        complain("stopped.")
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort before a traceback
        if chosen.verbose:
            traceback.print_exc()
        if sentence := _sentence(error):
            complain(sentence)
        return 2
    return returned if isinstance(returned, int) else 0


def _sentence(error: Exception) -> str:
    """An error in one sentence that names the user's thing."""
    if isinstance(error, ModelExportError):
        return str(error)
    if hasattr(error, "format_message"):  # what typer raises for wrong use
        message = str(error.format_message()).strip()  # "" after the help that no command gives
        return message and f"{message} (--help shows the options)"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"unexpected {words[:500]} (run with --verbose to see where)"


def _abandon_output() -> None:
    """Keep Python from complaining again when it flushes a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
