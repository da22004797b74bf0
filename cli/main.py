"""The command line: what all commands have in common, and the one place that maps errors.

Exit codes: 0 done; 1 the answer is "no"; 2 wrong use or bad input, in one sentence; 130 stopped.
"""

import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from modelexport.cli.analyze import analyze
from modelexport.cli.annotate import annotate
from modelexport.cli.batch import batch
from modelexport.cli.compare import compare
from modelexport.cli.doctor import doctor
from modelexport.cli.examples import examples
from modelexport.cli.export import export
from modelexport.cli.output import Talk, complain, talk
from modelexport.cli.strip import strip
from modelexport.cli.trace import trace
from modelexport.cli.validate import validate
from modelexport.support.error_texts import error_sentence

NAME = "modelexport"

COMMANDS: tuple[Callable[..., None], ...] = (
    *(trace, annotate, export),
    *(analyze, validate, compare, strip),
    *(batch, doctor),
)
"""In the order of the help; each has examples in `cli.examples`."""

_SHELL_BY_NAME = "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"
"""With it typer's completion options take the shell's name and do not guess."""


def _hear_verbose(context: typer.Context, wanted: bool) -> None:
    talk(context).verbose |= wanted


def _hear_quiet(context: typer.Context, wanted: bool) -> None:
    talk(context).quiet |= wanted


Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        callback=_hear_verbose,
        expose_value=False,
        help="Show tracebacks and every detail.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_hear_quiet,
        expose_value=False,
        help="Print results and errors only.",
    ),
]


def _levels_alone(*, verbose: Verbose = False, quiet: Quiet = False) -> None:
    """Only there for its options, which every command gets."""


_bare = typer.Typer(add_completion=False)
_bare.command()(_levels_alone)
_LEVELS = typer.main.get_command(_bare).params


class Command(TyperCommand):
    """A command that takes the levels of talk behind its name, and shows options by topic."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **options: Any) -> None:
        super().__init__(*args, params=[*(params or ()), *_LEVELS], **options)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each topic, in plain text: nothing is cut, whatever the width."""
        topics: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if (line := param.get_help_record(ctx)) is not None:
                usual = f"{param.param_type_name}s".capitalize()
                topics.setdefault(getattr(param, "rich_help_panel", None) or usual, []).append(line)
        general = topics.pop("Options")
        for topic, lines in [*topics.items(), ("Options", general)]:
            with formatter.section(topic):
                formatter.write_dl(lines)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - only here

        try:
            found = version(NAME)
        except PackageNotFoundError:
            found = "(not installed)"
        typer.echo(f"{NAME} {found}")
        raise typer.Exit


os.environ.setdefault(_SHELL_BY_NAME, "1")
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
def levels(
    *,
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options that stand before the command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    chosen = Talk()
    sys.exit(_run(arguments, chosen))


def _run(arguments: list[str] | None, chosen: Talk) -> int:
    """The exit code of one run; every error becomes a sentence here and nowhere else."""
    try:
        returned: Any = app(args=arguments, prog_name=NAME, standalone_mode=False, obj=chosen)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_output()
        return 0  # whoever read us has seen enough
    except (KeyboardInterrupt, typer.Abort):
        complain("stopped.")
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort before a traceback
        if chosen.verbose:
            import traceback  # noqa: PLC0415 - only here

            traceback.print_exc()
        if sentence := _sentence(error):
            complain(sentence)
        return 2
    return returned if isinstance(returned, int) else 0


def _sentence(error: Exception) -> str:
    """An error in one sentence that names the user's thing."""
    if hasattr(error, "format_message"):  # what typer raises for wrong use
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        message = message.replace("Value error, ", "").replace(". Did you", ": did you")
        return message and f"{message} (--help shows the options)."  # "" after help in its place
    return error_sentence(error, "run with --verbose to see where")


def _abandon_output() -> None:
    """Keep Python from complaining again when it flushes a pipe that nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
