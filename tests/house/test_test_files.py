"""The tests' own rules: they check something, stand alone, and build nothing while collected."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.certain_assertions import idle_assertions

TESTS = Path(__file__).resolve().parents[1]
FILES = {path.relative_to(TESTS.parent): path for path in sorted(TESTS.rglob("*.py"))}

IDLE = {
    "no assertion": "rows()",
    "a loop over what may be empty": "for row in rows():\n  assert row",
    "all() of what may be empty": "assert all(row for row in rows())",
    "a filtered comprehension": "assert all(row for row in [1] if row < 0)",
    "one branch": "if rows():\n  assert rows() == 1",
    "behind a continue": "for row in (1, 2):\n  if row: continue\n  assert row",
    "a loop that stops": "while rows():\n  assert rows()",
    "a function that is not called": "def check():\n  assert rows()",
    "for the type checker": "assert isinstance(rows(), list)",
}
CERTAIN = {
    "plain": "assert rows() == 1",
    "raises": "with pytest.raises(ValueError):\n  rows()",
    "a library's": "np.testing.assert_allclose(rows(), 1)",
    "a loop over a literal": "for row in (1, 2):\n  assert row",
    "a loop over a constant": "for row in sorted(ROWS):\n  assert row",
    "a loop behind its guard": "a = rows()\nassert a\nfor row in a:\n  assert row",
    "a loop behind its count": "a = rows()\nassert len(a) == 2\nfor r in sorted(a):\n  assert r",
    "a loop that counts": "n = 0\nfor row in rows():\n  assert row\n  n += 1\nassert n",
    "both branches": "if rows():\n  assert rows() == 1\nelse:\n  assert not rows()",
    "either of two ends": "if rows():\n  assert rows() == 1\n  return\nassert not rows()",
    "with": "with rows():\n  assert rows()",
    "a helper": "check()",
}


def file_of(body: str) -> dict[Path, str]:
    """A test file with a helper of its own, and one test."""
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    return {Path("test_it.py"): f"def check():\n  assert rows()\n\ndef test_it():\n{lines}\n"}


@pytest.mark.parametrize("kind", IDLE)
def test_what_may_check_nothing_is_found(kind: str) -> None:
    """Each way in which a test can pass without an assertion is seen."""
    assert idle_assertions(file_of(IDLE[kind]))


@pytest.mark.parametrize("kind", CERTAIN)
def test_what_checks_something_is_left_alone(kind: str) -> None:
    """An assertion that runs whenever its test runs is no finding."""
    assert idle_assertions(file_of(CERTAIN[kind])) == []


def test_every_test_checks_something() -> None:
    """No test can pass without an assertion, no loop with assertions may have nothing to do."""
    assert idle_assertions({name: path.read_text() for name, path in FILES.items()}) == []


class ImportTime(NamedTuple):
    """What a file does when it is imported.

    Attributes:
        modules: Full names of everything that it imports, `from` included.
        calls: Names of the functions that it calls.
    """

    modules: frozenset[str]
    calls: frozenset[str]


@cache
def import_time(name: Path) -> ImportTime:
    tree = ast.parse(FILES[name].read_text())
    return ImportTime(frozenset(imported_modules(tree)), frozenset(calls_while_imported(tree)))


def imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)


def calls_while_imported(tree: ast.Module) -> Iterator[str]:
    bodies = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    decorators = [
        decorator
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for decorator in node.decorator_list
    ]
    for top in (*bodies, *decorators):
        for node in ast.walk(top):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func).rpartition(".")[2]


def test_no_test_file_imports_another() -> None:
    """What tests share stands in tests/helpers, or is a fixture."""
    assert len(FILES) > 1
    assert {
        (str(name), module)
        for name in FILES
        for module in import_time(name).modules
        if module.startswith("tests.") and module.rpartition(".")[2].startswith("test_")
    } == set()


BUILDERS = frozenset({"annotate", "build", "export", "record", "run_export", "trace", "traced"})
"""Functions that build, trace or change a model."""


def test_nothing_is_built_while_tests_are_collected() -> None:
    """Models are built and traced by tests and fixtures, never by an import."""
    assert len(FILES) > 1
    built = {str(name): import_time(name).calls & BUILDERS for name in FILES}
    assert {name: calls for name, calls in built.items() if calls} == {}
