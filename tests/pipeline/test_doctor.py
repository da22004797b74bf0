"""`modelexport doctor` shows installed and missing packages, as modelexport declares them."""

import platform
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from modelexport.pipeline import Diagnosis, diagnose
from tests.helpers.commands import Run, modelexport

NEEDED = [Requirement(text) for text in metadata.requires("modelexport") or ()]


def installed(name: str) -> str | None:
    """The version of a package; None when it is not installed, as runtimes of extras may be."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes packages look as if they were not installed."""
    real = metadata.version

    def hide(*names: str) -> None:
        def version(name: str) -> str:
            if name in names:
                raise metadata.PackageNotFoundError(name)
            return real(name)

        monkeypatch.setattr(metadata, "version", version)

    return hide


def test_every_declared_package_is_told(run: Run) -> None:
    """Those that all commands need, and those of the extras for users, with their versions."""
    ran = run("doctor", "--output-format", "json")
    diagnosis = msgspec.json.decode(ran.out, type=Diagnosis)
    names = {package.name for package in diagnosis.packages}
    assert (ran.code, ran.err) == (0, "")
    assert diagnosis.python == platform.python_version()
    assert {r.name for r in NEEDED if r.marker is None} <= names
    assert {r.name for r in NEEDED if "trace" in str(r.marker)} <= names
    assert diagnosis.packages
    for package in diagnosis.packages:
        assert package.installed == installed(package.name)
        assert package.good == (package.installed is not None)
    incomplete = {package.extra for package in diagnosis.packages if package.installed is None}
    assert diagnosis.missing.keys() == incomplete
    assert incomplete.isdisjoint({None, "batch"})
    assert ("trace" in incomplete) == (find_spec("torch") is None)


def test_the_text_has_the_same(run: Run) -> None:
    """Each package with its version, below what it is for."""
    out = run("doctor").out
    packages = diagnose().packages
    assert packages
    for package in packages:
        assert f"{package.name} " in out
        assert str(package.installed or "missing") in out
        assert package.extra is None or f"[{package.extra}]" in out
    assert run("--quiet", "doctor").out == ""


def test_a_missing_extra_is_no_fault(run: Run, without: object) -> None:
    """The text says how to get it, and the exit code is 0."""
    before = diagnose().missing.keys()
    without("torch", "transformers")  # type: ignore[operator]
    ran = run("doctor")
    assert ran.code == 0
    assert "pip install --upgrade 'modelexport[trace]'" in ran.out
    assert ("trace" in before) == (find_spec("torch") is None)
    assert diagnose().missing.keys() == {*before, "trace"}


def test_what_all_commands_need_is_a_fault(run: Run, without: object) -> None:
    """Exit code 1, and the text says how to get it."""
    without("onnx")  # type: ignore[operator]
    ran = run("doctor", "--quiet")
    assert ran.code == 1
    assert "pip install --upgrade modelexport" in ran.out


def test_too_old_is_as_good_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version below the declared one is shown, and counts as missing."""
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == "onnx" else real(name))
    (state,) = [package for package in diagnose().packages if package.name == "onnx"]
    assert (state.installed, state.good, state.extra) == ("0.0.1", False, None)


def test_a_missing_package_is_named_by_the_command_that_needs_it(tmp_path: Path) -> None:
    """Without torch, `trace` says how to get it."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('gone', name='torch')\n")
    ran = modelexport("trace", "net.py:build", "net.onnx", cwd=tmp_path)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "torch" in ran.err
    assert "modelexport[trace]" in ran.err
