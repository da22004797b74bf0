"""The folders are the architecture: layers hold, a room has one name, files stay small."""

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.commands import ROOT

ROOMS = ("hierarchy", "support", "tracer", "rewriter", "pipeline", "cli")
SOURCES = sorted(path for room in (*ROOMS, "modelexport") for path in (ROOT / room).rglob("*.py"))
CALLERS = sorted(
    path
    for folder in ("tests", "benchmarks", "fixtures_gen")
    for path in (ROOT / folder).rglob("*.py")
)

LARGEST_FILE = 300
"""Lines; a longer file is split, or has its reason below."""

LONG_FILES = {
    "rewriter/matching/thresholds.py": "all thresholds, each with its unit, reason and test",
    "benchmarks/agreement/subjects.py": "what is done to a model's file, one kind after another",
    "benchmarks/agreement/zoo.py": "a list: all models of the table, a few lines each",
    "benchmarks/functions.py": "a script of its own: families in, one page out",
    "benchmarks/mutation.py": "a script of its own: it runs mutmut and writes one page",
    "tests/rewriter/container/test_container.py": "whatever is edited, all other bytes stay",
    "tests/rewriter/matching/test_any_file.py": "generated files, and what must hold for each",
}
LONG_FILES |= dict.fromkeys(
    (
        "tests/rewriter/matching/alignment/test_seeds.py",
        "tests/rewriter/matching/evidence/test_names.py",
        "tests/rewriter/matching/evidence/test_propagation.py",
        "tests/rewriter/matching/evidence/test_quantised_values.py",
        "tests/rewriter/matching/evidence/test_tree_names.py",
        "tests/rewriter/matching/evidence/test_values.py",
        "tests/rewriter/matching/evidence/test_weights.py",
        "tests/rewriter/matching/test_observed_values.py",
        "tests/rewriter/matching/test_resolver.py",
    ),
    "a small test for each rule of one file of the matcher, on graphs that they share",
)
"""Files that are longer, each with its reason."""

LONGEST_FUNCTION = 60
"""Lines of a function's body, its docstring not counted."""

MEANINGLESS = {
    *("asked", "aside", "beside", "each", "found", "given", "held", "here", "looked", "made"),
    *("said", "there", "told", "wanted"),
}
"""Names that say nothing about what they stand for; see the glossary of docs/architecture.md."""

FORBIDDEN = {
    "support/files.py": "modelexport.hierarchy.keys",
    "hierarchy/keys.py": "modelexport.rewriter.container",
    "tracer/__init__.py": "modelexport.rewriter.annotation",
    "rewriter/__init__.py": "torch",
    "rewriter/container/__init__.py": "modelexport.rewriter.matching.matcher",
    "rewriter/graph/__init__.py": "onnx_graphsurgeon",
    "pipeline/__init__.py": "onnxruntime",
    "cli/main.py": "fixtures_gen.zoo",
}
"""Files, and an import that breaks a contract if it is added to them."""


def name_of(file: str) -> str:
    """The module that a room's file is."""
    return "modelexport." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def copied(target: Path) -> Path:
    """A copy of the packages, with folders in place of links, and of the contracts."""
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("modelexport", "fixtures_gen"):
        shutil.copytree(ROOT / package, target / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", target)
    return target


def lint_imports(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold(tmp_path: Path) -> None:
    """As the code stands, no contract about imports is broken."""
    result = lint_imports(copied(tmp_path))
    assert result.returncode == 0, result.stdout
    assert " 0 broken" in result.stdout


def test_a_forbidden_import_breaks_a_contract(tmp_path: Path) -> None:
    """An import against the layers, of torch or of a library behind one door, is named."""
    packages = copied(tmp_path) / "modelexport"
    for file, module in FORBIDDEN.items():
        with (packages / file).open("a") as source:
            source.write(f"\nimport {module}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1
    named = " ".join(result.stdout.split())
    links = {f"{name_of(file)} -> {module}" for file, module in FORBIDDEN.items()}
    assert {link for link in links if link not in named} == set()


class Facts(NamedTuple):
    """What the rules below need to know about a file.

    Attributes:
        docstring: Whether it opens with a docstring.
        imports: Names of the modules that it imports; relative imports have none.
        lengths: Lines of each function's body, by the function's name and line.
        names: Names that it gives to variables, parameters, functions and classes.
    """

    docstring: bool
    imports: frozenset[str]
    lengths: dict[str, int]
    names: frozenset[str]


@cache
def facts(path: Path) -> Facts:
    """The facts about a file, which is parsed once for all rules."""
    tree = ast.parse(path.read_text())
    imports: set[str] = set()
    names: set[str] = set()
    lengths = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imports |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                imports.add(module)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                place = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                lengths[place] = body_length(node)
                names.add(node.name)
            case ast.ClassDef(name=name) | ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return Facts(bool(ast.get_docstring(tree)), frozenset(imports), lengths, frozenset(names))


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement behind the docstring to the last."""
    first = 1 if ast.get_docstring(function) and len(function.body) > 1 else 0
    end = function.body[-1].end_lineno
    assert end is not None
    return end - function.body[first].lineno + 1


def test_no_room_is_imported_by_its_bare_name() -> None:
    """A room is `modelexport.<room>` everywhere: its bare name is another project's to use."""
    bare = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (*SOURCES, *CALLERS)
        for name in facts(path).imports
        if name.partition(".")[0] in ROOMS
    }
    assert bare == set()


@pytest.mark.parametrize("room", ROOMS)
def test_ruff_refuses_a_bare_name(room: str, tmp_path: Path) -> None:
    """An editor marks such an import while it is written."""
    (tmp_path / "net.py").write_text(f'"""A file."""\n\nimport {room}\n\n__all__ = ["{room}"]\n')
    command = ("-m", "ruff", "check", "--no-cache", "--config", ROOT / "pyproject.toml", "net.py")
    result = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TID251" in result.stdout
    assert f"modelexport.{room}" in result.stdout


def test_the_rewriter_has_rooms_only() -> None:
    """Its one loose file is the list of its public names."""
    assert [path.name for path in (ROOT / "rewriter").glob("*.py")] == ["__init__.py"]


def test_the_tests_mirror_the_rooms() -> None:
    """A test is where its room is; what is of no room is about the house or a benchmark."""
    apart = {"house", "helpers", "snapshots", "benchmarks"}
    folders = {path for path in (ROOT / "tests").rglob("*/") if path.name != "__pycache__"}
    named = {path.relative_to(ROOT / "tests") for path in folders}
    mirrored = {path for path in named if path.parts[0] not in apart}
    assert mirrored
    assert {path for path in mirrored if not (ROOT / path).is_dir()} == set()


def test_no_name_is_a_file_and_a_package() -> None:
    """`x.py` beside `x/` would be two modules of one name."""
    assert [path for path in SOURCES if path.with_suffix("").is_dir()] == []


def test_every_package_says_what_it_is() -> None:
    """Each folder of code is a package, and its `__init__.py` opens with a docstring."""
    packages = {path.parent / "__init__.py" for path in SOURCES}
    assert len(packages) > len(ROOMS)
    assert {path for path in packages if not path.is_file()} == set()
    assert {path for path in packages if not facts(path).docstring} == set()


def test_files_are_small() -> None:
    """A file has one idea; one that is longer has its reason in the list, and needs it."""
    files = (*SOURCES, *CALLERS)
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in files}
    long = {name for name, count in lines.items() if count > LARGEST_FILE}
    assert long == LONG_FILES.keys()


def test_functions_are_short() -> None:
    """No function has more lines than a screen."""
    files = (*SOURCES, *CALLERS)
    lengths = {place: lines for path in files for place, lines in facts(path).lengths.items()}
    assert len(lengths) > len(files)
    assert {place: lines for place, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_names_mean_something() -> None:
    """What a name stands for is in the name, also of a local variable."""
    files = {str(path.relative_to(ROOT)): facts(path).names for path in SOURCES}
    assert len(files) > len(ROOMS)
    words = {
        file: {n for n in names if n.lower().strip("_") in MEANINGLESS}
        for file, names in files.items()
    }
    assert {file: names for file, names in words.items() if names} == {}
