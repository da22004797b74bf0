"""What a command does is what a public function does: it calls the one of its name."""

import shlex
from pathlib import Path
from typing import Any

import pytest

import modelexport
from modelexport.cli.main import COMMANDS
from modelexport.errors import UsageError
from tests.helpers.commands import Run

LINES = {
    "trace": ("trace_source", "trace net.py:build net.onnx"),
    "trace --dry-run": ("plan_source", "trace net.py:build net.onnx --dry-run"),
    "trace --record-only": ("trace_source", "trace net.py:build --record-only net.json"),
    "trace --parts": ("trace_parts", "trace net.py:build out --parts"),
    "export --parts": ("trace_parts", "export net.py:build out --parts"),
    "trace --parts --dry-run": ("plan_parts", "trace net.py:build out --parts --dry-run"),
    "annotate": ("annotate", "annotate net.onnx -o a.onnx"),
    "export": ("export", "export net.py:build net.onnx"),
    "export --dry-run": ("plan_source", "export net.py:build net.onnx --dry-run"),
    "analyze": ("analyze", "analyze net.onnx"),
    "validate": ("validate", "validate net.onnx"),
    "compare": ("compare", "compare a.onnx b.onnx"),
    "compare SOURCE": ("compare_source", "compare net.py:build b.onnx --numeric"),
    "profile": ("profile", "profile a.onnx"),
    "extract": ("extract", "extract a.onnx fc -o b.onnx"),
    "split": ("split", "split a.onnx --parts 2 -o parts"),
    "select": ("select_nodes", "select a.onnx --module fc"),
    "report": ("report", "report a.onnx -o r.html"),
    "strip": ("strip", "strip a.onnx -o net.onnx"),
    "batch": ("run_plan", "batch plan.toml"),
    "batch --dry-run": ("load_plan", "batch plan.toml --dry-run"),
    "doctor": ("diagnose", "doctor"),
}
"""Function and command line."""


@pytest.mark.parametrize(("function", "line"), LINES.values(), ids=LINES.keys())
def test_a_command_calls_the_public_function(
    run: Run, working_folder: Path, monkeypatch: pytest.MonkeyPatch, function: str, line: str
) -> None:
    """The function is called once, and the command passes its error on; no file is written."""
    calls: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        calls.append(function)
        raise UsageError("this function was called.")

    monkeypatch.setattr(modelexport, function, refuse)
    result = run(*shlex.split(line))
    assert calls == [function]
    assert (result.code, result.err) == (2, "modelexport: this function was called.\n")
    assert list(working_folder.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["compare", "compare SOURCE", "profile", "extract", "split", "select", "report"],
)
def test_the_limit_of_memory_is_passed_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Every command that may match a file by its values has the option."""
    limits: list[int] = []

    def refuse(*_: object, **keywords: Any) -> None:
        limits.append(keywords["options"].memory if name == "profile" else keywords["memory"])
        raise UsageError("this function was called.")

    function, line = LINES[name]
    monkeypatch.setattr(modelexport, function, refuse)
    run(*shlex.split(line), "--memory", "3KB")
    assert limits == [3000]
    assert "write a size" in run(*shlex.split(line), "--memory", "lots").err
    assert "at least one byte" in run(*shlex.split(line), "--memory", "0").err


def test_every_command_has_a_line() -> None:
    """No command is left out above."""
    assert {line.split()[0] for _, line in LINES.values()} == {c.__name__ for c in COMMANDS}


def test_the_functions_are_public() -> None:
    """All of them are in `__all__`."""
    assert {function for function, _ in LINES.values()} <= set(modelexport.__all__)
