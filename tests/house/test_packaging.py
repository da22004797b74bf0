"""What is built and installed: one import name, beside a project whose packages have our names."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from modelexport.hierarchy.record import read_record
from tests.helpers.commands import ROOT

ROOMS = ("cli", "hierarchy", "pipeline", "rewriter", "support", "tracer")
USERS_PACKAGES = (*ROOMS, "tests")
"""Packages of the user's project: what our rooms and tests are called, too."""

PART = """
from torch import nn


class Part(nn.Linear):
    pass


def scale(x):
    return x * {factor}
"""

NET = """
import importlib

import torch
from torch import nn

{imports}

PACKAGES = {packages}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        parts = [{parts}]
        self.parts = nn.ModuleDict({{name: part(4, 4) for name, part in zip(PACKAGES, parts)}})

    def forward(self, x):
        for name, part in self.parts.items():
            x = importlib.import_module(name).scale(part(x))
        return x


def build():
    return Net().eval(), (torch.ones(2, 4),)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside this checkout's import path; gives what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind: str, source: Path, target: Path) -> Path:
    """Build an sdist or a wheel of a source tree."""
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source)
    (built,) = target.iterdir()
    return built


def members(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel and their bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel_of_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist, as installers without the wheel do."""
    sdist = build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    return build("wheel", source, tmp_path_factory.mktemp("from-sdist"))


class Environment:
    """A new virtual environment, into which only pip was installed.

    Our dependencies are found where this test's are; its own `.pth` files, an editable install
    among them, are not read there.
    """

    def __init__(self, folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
        self.python = folder / "bin" / "python"
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        self.packages = Path(run(self.python, "-c", query, cwd=folder).strip())
        paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        (self.packages / "dependencies.pth").write_text("\n".join(paths))

    def install(self, *what: str | Path) -> set[str]:
        """Install without dependencies; gives the names that are new in the environment."""
        before = set(self.packages.iterdir())
        options = ("--no-deps", "--no-index", "--no-build-isolation", "--quiet")
        run(self.python, "-m", "pip", "install", *options, *what, cwd=self.packages)
        return {path.name for path in set(self.packages.iterdir()) - before}


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, wheel_of_sdist: Path
) -> tuple[Environment, set[str]]:
    """An environment with the wheel, and the names that came with it."""
    environment = Environment(tmp_path_factory.mktemp("installed"))
    return environment, environment.install(wheel_of_sdist)


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with an editable install of the checkout."""
    environment = Environment(tmp_path_factory.mktemp("editable"))
    environment.install("--editable", ROOT)
    return environment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project: a model made of parts that its own packages define."""
    for factor, name in enumerate(USERS_PACKAGES, 2):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(PART.format(factor=factor))
    text = NET.format(
        imports="\n".join(f"import {name}" for name in USERS_PACKAGES),
        packages=USERS_PACKAGES,
        parts=", ".join(f"{name}.Part" for name in USERS_PACKAGES),
    )
    (tmp_path / "net.py").write_text(text)
    return tmp_path


def test_the_sdist_builds_the_same_wheel(wheel: Path, wheel_of_sdist: Path) -> None:
    """A wheel built from the sdist has the files of one built from the checkout, byte for byte."""
    assert members(wheel_of_sdist) == members(wheel)


def test_the_wheel_holds_every_room(wheel: Path) -> None:
    """Each Python file of each room is in it once, below `modelexport/`, and it is typed."""
    rooms = {path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    facade = {path.name for path in (ROOT / "modelexport").glob("*.py")}
    packed = {name for name in members(wheel) if name.endswith(".py")}
    assert packed == {f"modelexport/{name}" for name in (*rooms, *facade)}
    assert "modelexport/py.typed" in members(wheel)
    page = {path.relative_to(ROOT) for path in (ROOT / "rewriter/reporting/page").iterdir()}
    assert page
    assert {f"modelexport/{path}" for path in page} <= set(members(wheel))


def test_one_name_is_installed(installed: tuple[Environment, set[str]], tmp_path: Path) -> None:
    """An install brings `modelexport` and pip's notes on it; no room has a name of its own."""
    environment, names = installed
    assert {name.partition("-")[0] for name in names} == {"modelexport"}
    assert {name for name in names if not name.endswith(".dist-info")} == {"modelexport"}
    query = f"import importlib.util as u; print([n for n in {ROOMS} if u.find_spec(n)])"
    assert run(environment.python, "-c", query, cwd=tmp_path) == "[]\n"


MODULE, SCRIPT = ("python", "-m", "modelexport"), ("modelexport",)


def check_export(
    environment: Environment, project: Path, program: tuple[str, ...], source: str
) -> None:
    """The model of a project is exported out of the project's own packages."""
    command = (environment.python.with_name(program[0]), *program[1:])
    run(*command, "export", source, "out.onnx", "--exporter", "torchscript", cwd=project)
    record = read_record(project / "out.trace.json")
    parts = {m.python_module for m in record.modules if m.class_name == "Part"}
    assert parts == set(USERS_PACKAGES)
    scales = [op for op in record.ops if op.op_type == "Mul" and op.module == ""]
    assert len(scales) == len(USERS_PACKAGES)


@pytest.mark.parametrize(
    ("program", "source"),
    [(MODULE, "net.py:build"), (MODULE, "net:build"), (SCRIPT, "net:build")],
    ids=["module-file", "module-name", "script-name"],
)
def test_a_project_with_packages_of_our_names(
    installed: tuple[Environment, set[str]], project: Path, program: tuple[str, ...], source: str
) -> None:
    """What is installed from the wheel stands beside packages that are called like its rooms."""
    environment, _ = installed
    check_export(environment, project, program, source)


@pytest.mark.parametrize("source", ["net.py:build", "net:build"])
def test_such_a_project_beside_an_editable_install(
    editable: Environment, project: Path, source: str
) -> None:
    """An editable install, too, leaves a project's own packages alone."""
    check_export(editable, project, MODULE, source)
