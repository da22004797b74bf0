"""The command line: its commands, and the one place that turns errors into exit codes.

Exit codes: 0 done; 1 the answer is "no"; 2 wrong use or bad input, in one sentence; 130 stopped
by Ctrl-C, 143 and 129 by SIGTERM and SIGHUP.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from modelexport.cli.analyze import analyze
from modelexport.cli.annotate import annotate
from modelexport.cli.batch import batch
from modelexport.cli.command import Command
from modelexport.cli.compare import compare
from modelexport.cli.console import print_document, print_error
from modelexport.cli.doctor import doctor
from modelexport.cli.examples import examples
from modelexport.cli.export import export
from modelexport.cli.extract import extract
from modelexport.cli.profile import profile
from modelexport.cli.report import report
from modelexport.cli.select import select
from modelexport.cli.signals import StoppedBySignal, StopRequest, signals_as_errors
from modelexport.cli.split import split
from modelexport.cli.standard_streams import standard_streams
from modelexport.cli.strip import strip
from modelexport.cli.trace import trace
from modelexport.cli.validate import validate
from modelexport.cli.verbosity import Quiet, Verbose, Verbosity
from modelexport.cli.visible_output import visible_output
from modelexport.errors import FileProblem
from modelexport.support.error_texts import error_sentence
from modelexport.support.lost_memory import exit_on_lost_memory

NAME = "modelexport"

COMMANDS: tuple[Callable[..., None], ...] = (
    *(trace, annotate, export),
    *(analyze, validate, compare, profile, strip),
    *(select, extract, split, report),
    *(batch, doctor),
)
"""In the order of the help. Each has examples in `cli.examples`."""

_SHELL_BY_NAME = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"
"""With this variable typer's completion options take the shell's name and do not guess it."""
_NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""New versions of onnxruntime send usage data and keep some in the user's folders, unless this
variable is set. A value that the user has set stays."""


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only here

        try:
            installed = version(NAME)
        except PackageNotFoundError:
            installed = "(not installed)"
        print_document(f"{NAME} {installed}")
        raise typer.Exit


os.environ.setdefault(_SHELL_BY_NAME, "1")
os.environ.setdefault(_NO_TELEMETRY, "1")
app = typer.Typer(
    name=NAME,
    help="Hierarchy-preserving ONNX: every node of an ONNX file knows the PyTorch module it "
    "came from.",
    epilog=examples(""),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command(cls=Command, epilog=examples(_command.__name__))(_command)


@app.callback()
def options_before_command(
    *,
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Only here for its options."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: The arguments after the program's name; those of this process by default.
    """
    try:
        with (
            standard_streams(),
            visible_output(),
            exit_on_lost_memory(print_error),
            signals_as_errors() as request,
        ):
            code = _run(arguments, Verbosity(), request)
    except (KeyboardInterrupt, StoppedBySignal) as error:  # just before the command, or after it
        code = _stopped(error.number if isinstance(error, StoppedBySignal) else signal.SIGINT)
    sys.exit(code)


def _stopped(number: int) -> int:
    """Say that a signal ended the command; gives the exit code."""
    print_error("stopped.")
    return 128 + number


def _run(arguments: list[str] | None, verbosity: Verbosity, request: StopRequest) -> int:
    """Run the command line. Every error becomes a sentence here, and nowhere else.

    Returns:
        The exit code.
    """
    try:
        returned: Any = app(args=arguments, prog_name=NAME, standalone_mode=False, obj=verbosity)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
        return 0  # the program that reads the pipe has ended
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(signal.SIGINT)
    except StoppedBySignal as stopped:
        return _stopped(stopped.number)
    except Exception as error:  # noqa: BLE001 - the last place before a traceback
        if request.number is not None:
            return _stopped(request.number)  # an interrupted import raises ImportError
        if verbosity.verbose:
            import traceback  # noqa: PLC0415 - only here

            traceback.print_exc()
        if sentence := _sentence(error):
            print_error(sentence)
        if not _is_writable():
            _discard_stdout()
        return 2
    if returned == 128 + signal.SIGINT:
        return _stopped(signal.SIGINT)  # typer takes Ctrl-C, and says nothing
    return returned if isinstance(returned, int) else 0


def _sentence(error: Exception) -> str:
    """The error in one sentence; empty when typer has printed the help instead."""
    if not hasattr(error, "format_message"):
        return error_sentence(error, "run with --verbose to see where")
    # typer found a wrong use of the command
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    message = message.replace("Value error, ", "").replace(". Did you", ": did you")
    return message and f"{message} (--help shows the options)."


def _discard_stdout() -> None:
    """Keep Python from a second error when it flushes what cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_writable() -> bool:
    """Whether standard output takes what was printed."""
    try:
        sys.stdout.flush()
    except (OSError, FileProblem):
        return False
    return True
