"""Help texts: as they were looked at when they were written, with examples that hold."""

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
def test_the_help_is_the_one_that_was_looked_at(command: str) -> None:
    """After a change on purpose, `make snapshots` writes the files anew."""
    assert help_text(command) == snapshot(SNAPSHOTS, command).read_text()


def test_no_snapshot_is_left_over() -> None:
    """Every file is of a command that there is."""
    assert set(SNAPSHOTS.iterdir()) == {snapshot(SNAPSHOTS, command) for command in commands()}


@pytest.mark.parametrize("command", commands())
def test_every_help_ends_with_examples(command: str) -> None:
    """Each command has some, and they stand below its options as they are."""
    shown = snapshot(SNAPSHOTS, command).read_text()
    below = [line.strip() for line in shown.partition("Examples:\n")[2].splitlines()]
    assert below == EXAMPLES[command].strip().splitlines()


@pytest.mark.parametrize(("command", "line"), LINES)
def test_examples_are_command_lines(command: str, line: str) -> None:
    """Each parses as it stands: there are such options, and they take such values."""
    program, name, *arguments = shlex.split(line)
    assert program == NAME
    assert command in {"", name}
    parsed = GROUP.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    assert parsed.params


def test_same_name_same_help() -> None:
    """An option that several commands share is explained in the same words by all of them.

    But a record, which some write and some read.
    """
    said: dict[str, set[str]] = {}
    for name in ("trace", "annotate", "export", "doctor"):
        for param in GROUP.commands[name].params:  # type: ignore[attr-defined]
            for flag in param.opts:
                if flag.startswith("--"):
                    said.setdefault(flag, set()).add(param.help)
    assert {flag for flag, texts in said.items() if len(texts) > 1} <= {"--record", "--output"}


def test_completion_names_the_command() -> None:
    """`--show-completion bash` prints a script that completes this command."""
    shown = modelexport("--show-completion", "bash", cwd=ROOT)
    assert (shown.code, shown.err) == (0, "")
    assert re.search(rf"^complete .*\b{NAME}$", shown.out, re.MULTILINE)
    checked = subprocess.run(["bash", "-n"], input=shown.out.encode(), check=False)
    assert checked.returncode == 0


def test_completion_completes() -> None:
    """A shell that asks gets the commands, the options and their values."""
    words = {
        f"{NAME} an": {name for name in commands() if name.startswith("an")},
        f"{NAME} annotate --torch-": {"--torch-nn", "--torch-keys"},
        f"{NAME} annotate --tag-style ": {"path", "class"},
    }
    for line, expected in words.items():
        asked = {
            "_MODELEXPORT_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        }
        assert set(modelexport(cwd=ROOT, **asked).out.split()) == expected
