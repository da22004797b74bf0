"""Finds tests that can pass without checking anything, by reading their source.

An assertion is certain when it runs in every run of a test. One in a loop is certain only where
the loop surely runs: over a literal, a constant, an enum, or something that is asserted not to be
empty (`assert rows` before it, or `assert seen` after it where the loop adds to `seen`). The same
goes for `all(... for row in rows)`, which holds where there are no rows. An assertion in one
branch of an `if`, or behind a `continue` or `return` that may happen, is not certain.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.filled import Filled, called_name, conjuncts, is_filtered

ASSERTING = {
    *(".check_model", ".check_schema", "jsonschema.validate", "pytest.raises", "pytest.warns"),
}
"""Calls that raise where something is wrong; so do all that are called `assert_...`."""


@dataclass(frozen=True)
class Loop:
    """A loop, or an `all()`, that may have nothing to go over.

    Attributes:
        line: Line in its file.
        source: What it goes over.
        counts: Names that it counts or collects in.
    """

    line: int
    source: str
    counts: frozenset[str] = frozenset()


class Reading:
    """What one function asserts.

    Attributes:
        loops: Those that may run over nothing.
        certain: Whether the function surely asserts something.
    """

    def __init__(self, function: ast.FunctionDef, asserting: set[str]) -> None:
        self.loops: list[Loop] = []
        self._asserting = asserting
        self._filled = Filled()
        self.certain = self._block(function.body)

    def _block(self, statements: Sequence[ast.stmt]) -> bool:
        certain = False
        for number, statement in enumerate(statements, 1):
            if isinstance(statement, ast.If) and any(map(_leaves, ast.walk(statement))):
                rest = self._block([*statement.orelse, *statements[number:]])
                return certain or (self._block(statement.body) and rest)
            certain |= self._statement(statement)
        return certain

    def _statement(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assert():
                return self._assert(statement.test)
            case ast.If():
                branches = [self._block(statement.body), self._block(statement.orelse)]
                return all(branches)
            case ast.For():
                return self._for(statement)
            case ast.While():
                self._block(statement.body)
                return False
            case ast.With():
                entered = any(self._calls(item.context_expr) for item in statement.items)
                return self._block(statement.body) or entered
            case ast.Try():
                bodies = [self._block(statement.body), self._block(statement.finalbody)]
                return any(bodies)
            case ast.FunctionDef() | ast.ClassDef():
                return False
            case ast.Assign(targets=[ast.Name(id=name)]) if statement.value in self._filled:
                self._filled.add(name)
        return self._calls(statement)

    def _assert(self, test: ast.expr) -> bool:
        if _narrows_a_type(test):
            return False
        learned = self._filled.learn(test)
        self.loops = [loop for loop in self.loops if not loop.counts & learned]
        empty = [part for part in conjuncts(test) if self._may_hold_of_nothing(part)]
        self.loops += [Loop(part.lineno, ast.unparse(part)) for part in empty]
        return not empty

    def _may_hold_of_nothing(self, condition: ast.expr) -> bool:
        match condition:
            case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp() as items]):
                return is_filtered(items) or items not in self._filled
        return False

    def _for(self, loop: ast.For) -> bool:
        filled = loop.iter in self._filled
        certain = self._block(loop.body)
        if not filled and (certain or self._asserts_somewhere(loop)):
            counts = frozenset(_counts(loop))
            self.loops.append(Loop(loop.lineno, ast.unparse(loop.iter), counts))
        return certain and filled

    def _asserts_somewhere(self, loop: ast.For) -> bool:
        return self._calls(loop) or any(
            isinstance(inner, ast.Assert) and not _narrows_a_type(inner.test)
            for inner in ast.walk(loop)
        )

    def _calls(self, node: ast.AST) -> bool:
        """Whether something that asserts is called."""
        calls = (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))
        return any(
            not self._asserting.isdisjoint(_names(call)) or called_name(call).startswith("assert_")
            for call in calls
        )


def _names(call: ast.Call) -> set[str]:
    """What a called function may be known by: `f` of `f()`; `.f` and `a.f` of `a.f()`."""
    match call.func:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(value=ast.Name(id=owner), attr=name):  # faster than to unparse it
            return {f".{name}", f"{owner}.{name}"}
        case ast.Attribute(attr=name):
            return {f".{name}", ast.unparse(call.func)}
    return {called_name(call), ast.unparse(call.func)}


def _leaves(node: ast.AST) -> bool:
    return isinstance(node, ast.Continue | ast.Break | ast.Return)


def _narrows_a_type(test: ast.expr) -> bool:
    """Whether an assertion may be for the type checker alone."""
    match test:
        case ast.Call():
            return called_name(test) == "isinstance"
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            return True
    return False


def _counts(loop: ast.For) -> Iterator[str]:
    """Names of what a loop counts or collects."""
    for node in ast.walk(loop):
        match node:
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="add" | "append")):
                yield name


def functions_of(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Every function and method of a file by its name; a method's begins with a dot."""
    bodies = [("", tree.body)]
    bodies += [(".", node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
    return {
        dot + node.name: node
        for dot, body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef)
    }


def asserting_functions(trees: Iterable[ast.Module], known: set[str]) -> set[str]:
    """The names of functions that surely assert something when they are called, and those known.

    Tests are left out: no other function calls them.
    """
    functions = [
        (name, function)
        for tree in trees
        for name, function in functions_of(tree).items()
        if not function.name.startswith("test_")
    ]
    while more := {name for name, f in functions if Reading(f, known).certain} - known:
        known = known | more
    return known


def idle_assertions(files: Mapping[Path, str]) -> list[str]:
    """What is wrong with the tests in some files, a line each.

    Args:
        files: Source by path: test files, and the helpers that they call.
    """
    trees = {path: ast.parse(source) for path, source in files.items()}
    helpers = [tree for path, tree in trees.items() if not path.name.startswith("test_")]
    shared = asserting_functions(helpers, ASSERTING)
    faults = []
    for path, tree in trees.items():
        asserting = asserting_functions([tree], shared)
        for function in functions_of(tree).values():
            reading = Reading(function, asserting)
            where = f"{path}:{function.lineno} {function.name}"
            if function.name.startswith("test_") and not reading.certain:
                faults.append(f"{where}: may pass without an assertion")
            faults += [f"{where}: line {o.line} may be empty: {o.source}" for o in reading.loops]
    return faults
