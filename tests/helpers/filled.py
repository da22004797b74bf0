"""What is surely not empty at a place in a function, as far as its source tells."""

import ast
from collections.abc import Iterator

DERIVED = {
    *("chain", "dict", "enumerate", "items", "keys", "list", "map", "permutations", "product"),
    *("range", "reversed", "set", "sorted", "split", "splitlines", "tuple", "values", "zip"),
}
"""Calls whose result is empty only where what they are called with, or on, is empty."""

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def called_name(call: ast.Call) -> str:
    """The last part of what is called: `raises` of `pytest.raises(...)`."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def is_filtered(comprehension: Comprehension) -> bool:
    """Whether a comprehension may leave out all of what it goes over."""
    return any(generator.ifs for generator in comprehension.generators)


def conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    """The conditions that all hold where a condition holds."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from conjuncts(part)
    else:
        yield test


class Filled:
    """Expressions that are not empty: literals, constants, enums, and what was asserted."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __contains__(self, value: ast.expr) -> bool:
        match value:
            case _ if ast.unparse(value) in self._known:
                return True
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name[0].isupper()  # a constant of a module, or an enum
            case ast.Starred():
                return value.value in self
            case ast.List() | ast.Tuple() | ast.Set():
                return any(not isinstance(v, ast.Starred) or v in self for v in value.elts)
            case ast.Dict():
                return bool(value.keys)
            case ast.Constant():
                return bool(value.value)
            case ast.BinOp(op=ast.Add() | ast.BitOr()):
                return value.left in self or value.right in self
        return self._has_filled_sources(value)

    def _has_filled_sources(self, value: ast.expr) -> bool:
        match value:
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                filled = all(generator.iter in self for generator in value.generators)
                return filled and not is_filtered(value)
            case ast.Call() if called_name(value) in DERIVED:
                return any(source in self for source in _arguments(value))
        return False

    def add(self, name: str) -> None:
        """From here on, something is not empty."""
        self._known.add(name)

    def learn(self, test: ast.expr) -> set[str]:
        """Add what is not empty where a condition holds; gives what was added."""
        learned: set[str] = set()
        for part in conjuncts(test):
            match part:
                case ast.Compare():
                    learned |= set(self._compared(part))
                case ast.Call(func=ast.Name(id="any"), args=[ast.GeneratorExp() as some]):
                    learned |= set(_sources(some))
                case _:
                    learned |= set(_sources(part))
        self._known |= learned
        return learned

    def _compared(self, compare: ast.Compare) -> Iterator[str]:
        sides = [compare.left, *compare.comparators]
        for left, operator, right in zip(sides, compare.ops, sides[1:], strict=False):
            for one, other in ((left, right), (right, left)):
                match one, operator:
                    case ast.Call(func=ast.Name(id="len"), args=[value]), _:
                        if not _is_zero(other) or isinstance(operator, ast.Gt | ast.NotEq):
                            yield from _sources(value)
                    case _, ast.Eq() if other in self:
                        yield from _sources(one)
            match operator:
                case ast.In():
                    yield from _sources(right)
                case ast.LtE() if left in self:
                    yield from _sources(right)
                case ast.Gt() if _is_number(right):
                    yield from _sources(left)


def _is_zero(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value == 0


def _is_number(value: ast.expr) -> bool:
    """Whether a value is written as a number; one with a minus sign is not."""
    return isinstance(value, ast.Constant) and isinstance(value.value, int)


def _arguments(call: ast.Call) -> list[ast.expr]:
    receiver = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    return [*call.args, *receiver]


def _sources(value: ast.expr) -> Iterator[str]:
    """A value that is not empty, and what it was made of, which then is not empty either."""
    yield ast.unparse(value)
    match value:
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _sources(value.generators[0].iter)
        case ast.Call() if called_name(value) in DERIVED and len(_arguments(value)) == 1:
            yield from _sources(_arguments(value)[0])
