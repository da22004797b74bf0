"""Help texts: they are those that a person has read, and their examples work."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer

from fixtures_gen.help_texts import commands, help_text, snapshot
from modelexport.cli.examples import EXAMPLES
from modelexport.cli.main import NAME, app
from tests.helpers.commands import ROOT, modelexport

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
GROUP = typer.main.get_command(app)
LINES = [
    pytest.param(command, line, id=f"{command or NAME}-{number}")
    for command, text in EXAMPLES.items()
    for number, line in enumerate(text.strip().splitlines())
    if command in commands()
]


@pytest.mark.parametrize("command", commands())
def test_the_help_is_the_one_in_the_snapshot(command: str) -> None:
    """After an intended change, `make snapshots` writes the files again."""
    assert help_text(command) == snapshot(SNAPSHOTS, command).read_text()


def test_no_snapshot_is_left_over() -> None:
    """Every file belongs to an existing command."""
    assert set(SNAPSHOTS.iterdir()) == {snapshot(SNAPSHOTS, command) for command in commands()}


@pytest.mark.parametrize("command", commands())
def test_every_help_ends_with_examples(command: str) -> None:
    """Every command has examples, and they are shown unchanged below its options."""
    text = snapshot(SNAPSHOTS, command).read_text()
    examples = [line.strip() for line in text.partition("Examples:\n")[2].splitlines()]
    assert examples == EXAMPLES[command].strip().splitlines()


@pytest.mark.parametrize(("command", "line"), LINES)
def test_examples_are_command_lines(command: str, line: str) -> None:
    """Each can be parsed: the options exist, and they accept the values."""
    program, name, *arguments = shlex.split(line)
    assert program == NAME
    assert command in {"", name}
    parsed = GROUP.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    assert parsed.params


def test_same_name_same_help() -> None:
    """An option that several commands share has the same help text in all of them.

    The exceptions are --record and --output, which some commands write and some read or need.
    """
    texts: dict[str, set[str]] = {}
    for name in ("trace", "annotate", "export", "doctor"):
        for param in GROUP.commands[name].params:  # type: ignore[attr-defined]
            for flag in param.opts:
                if flag.startswith("--"):
                    texts.setdefault(flag, set()).add(param.help)
    assert {flag for flag, helps in texts.items() if len(helps) > 1} <= {"--record", "--output"}


def test_completion_names_the_command() -> None:
    """`--show-completion bash` prints a script that completes this command."""
    script = modelexport("--show-completion", "bash", cwd=ROOT)
    assert (script.code, script.err) == (0, "")
    assert re.search(rf"^complete .*\b{NAME}$", script.out, re.MULTILINE)
    checked = subprocess.run(["bash", "-n"], input=script.out.encode(), check=False)
    assert checked.returncode == 0


def test_completion_completes() -> None:
    """A shell gets the commands, the options and their values."""
    words = {
        f"{NAME} an": {name for name in commands() if name.startswith("an")},
        f"{NAME} annotate --torch-": {"--torch-nn", "--torch-keys"},
        f"{NAME} annotate --tag-style ": {"path", "class"},
    }
    for line, expected in words.items():
        variables = {
            "_MODELEXPORT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        assert set(modelexport(cwd=ROOT, **variables).out.split()) == expected
