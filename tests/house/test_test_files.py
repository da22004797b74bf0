"""The tests' own rules: they check something, stand alone, and build nothing while collected."""

import ast
from pathlib import Path

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


def imported_modules(tree: ast.Module) -> set[str]:
    """Full names of everything that a file imports, `from` included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("name", FILES, ids=str)
def test_no_test_file_imports_another(name: Path) -> None:
    """What tests share stands in tests/helpers, or is a fixture."""
    modules = imported_modules(ast.parse(FILES[name].read_text()))
    last_parts = {module.rpartition(".")[2] for module in modules if module.startswith("tests.")}
    assert {part for part in last_parts if part.startswith("test_")} == set()


BUILDERS = {"annotate", "build", "export", "record", "run_export", "trace", "traced"}
"""Functions that build, trace or change a model."""


def calls_while_imported(tree: ast.Module) -> set[str]:
    """Names of the functions that a file calls when it is imported."""
    bodies = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    decorators = [
        decorator
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for decorator in node.decorator_list
    ]
    calls = (n for top in [*bodies, *decorators] for n in ast.walk(top) if isinstance(n, ast.Call))
    return {ast.unparse(call.func).rpartition(".")[2] for call in calls}


@pytest.mark.parametrize("name", FILES, ids=str)
def test_nothing_is_built_while_tests_are_collected(name: Path) -> None:
    """Models are built and traced by tests and fixtures, never by an import."""
    assert calls_while_imported(ast.parse(FILES[name].read_text())) & BUILDERS == set()
