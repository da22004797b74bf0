"""How good an answer is: exact, in the covers, an ancestor, unresolved, or wrong."""

from collections.abc import Iterable
from enum import StrEnum

from modelexport.hierarchy.module_tree import ModuleTree, is_within


class Verdict(StrEnum):
    """From best to worst; the first two are right."""

    EXACT = "exact"
    IN_COVERS = "in covers"
    ANCESTOR = "ancestor"
    UNRESOLVED = "unresolved"
    WRONG = "wrong"


def judge(
    true: Iterable[str], module: str | None, covers: Iterable[str], tree: ModuleTree
) -> Verdict:
    """Compare one decision with the true modules of its node.

    Args:
        true: Paths of the node's true modules, at least one.
        module: The path it was given.
        covers: The paths of its origins as decided, when there are several.
        tree: The modules; an alias counts as the module it stands for.
    """
    if module is None:
        return Verdict.UNRESOLVED
    right = {tree.canonical(path) for path in true}
    decided = tree.canonical(module)
    parts = {tree.canonical(path) for path in covers}
    if decided in right:
        return Verdict.EXACT
    if right <= parts and decided == tree.common_ancestor(sorted(right)):
        return Verdict.EXACT
    touched = parts & right
    if all(is_within(p, decided) for p in parts) and any(is_within(p, decided) for p in touched):
        return Verdict.IN_COVERS
    if any(is_within(path, decided) for path in right):
        return Verdict.ANCESTOR
    return Verdict.WRONG
