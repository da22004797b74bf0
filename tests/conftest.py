"""Fixtures that tests of several rooms share."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

from modelexport.cli.main import main
from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import annotate
from tests.helpers.commands import CommandResult, Run
from tests.helpers.handmade import two_layers, two_layers_record

if TYPE_CHECKING:
    from tests.helpers.traced import TracedModels


def pytest_configure() -> None:
    """Let Ctrl-C and a closed terminal reach the commands that tests start.

    A shell makes its background jobs ignore the one, `nohup` the other, and every process
    inherits that.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # else each worker has a thread for each core
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A small file without a hierarchy: two layers."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    return tmp_path / "plain.onnx"


@pytest.fixture
def plain_record(tmp_path: Path) -> Path:
    """The record of `plain`, beside it."""
    (tmp_path / "plain.trace.json").write_bytes(encode_record(two_layers_record()))
    return tmp_path / "plain.trace.json"


@pytest.fixture
def annotated(plain: Path, tmp_path: Path) -> Path:
    """The annotated file of `plain`."""
    annotate(plain, two_layers_record(), tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process, where torch is loaded once for all."""
    return _runner(capsys)


@pytest.fixture
def run_with_libraries(capfd: pytest.CaptureFixture[str]) -> Run:
    """As `run`; what libraries print past Python's streams is there, too."""
    return _runner(capfd)


def _runner(capture: pytest.CaptureFixture[str]) -> Run:
    def command(*arguments: str | Path) -> CommandResult:
        capture.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capture.readouterr()
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
    from tests.helpers.traced import TracedModels, kept_traces  # noqa: PLC0415 - loads torch

    folder = kept_traces() or session_folder / "traced"
    folder.mkdir(parents=True, exist_ok=True)
    return TracedModels(folder)
