"""Fixtures that tests of several rooms share."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelexport.cli.main import main
from tests.helpers.commands import CommandResult, Run

if TYPE_CHECKING:
    from tests.helpers.traced import TracedModels


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, where torch is loaded once for all."""

    def command(*arguments: str | Path) -> CommandResult:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return CommandResult(stopped.value.code, captured.out, captured.err)

    return command


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one test session share."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return folder.resolve()


@pytest.fixture(scope="session")
def traced(session_folder: Path) -> "TracedModels":
    """Traces models of the zoo: `traced("bert", "dynamo")`, once a session for all processes."""
    from tests.helpers.traced import TracedModels  # noqa: PLC0415 - loads torch

    folder = session_folder / "traced"
    folder.mkdir(exist_ok=True)
    return TracedModels(folder)
