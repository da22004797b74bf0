"""Modules of one class under one parent."""

from collections import Counter, defaultdict

from torch import nn

MIN_SIBLINGS = 8
"""Minimum number of siblings: of fewer, too few can be left out to be worth the check."""


def siblings(model: nn.Module) -> list[list[str]]:
    """The paths of modules that have the same parent and the same class, by group.

    Modules that others hold, too, are no siblings, and neither are those that hold such modules:
    calls of these are numbered through all that hold them.
    """
    paths = _number_of_paths(model)
    groups: dict[tuple[str, type], list[str]] = defaultdict(list)
    for parent_path, parent in model.named_modules():
        children = dict(parent.named_children())
        if len(children) < MIN_SIBLINGS:
            continue
        for name, child in children.items():
            if all(paths[module] == own for module, own in _number_of_paths(child).items()):
                path = f"{parent_path}.{name}" if parent_path else name
                groups[parent_path, type(child)].append(path)
    return [group for group in groups.values() if len(group) >= MIN_SIBLINGS]


def _number_of_paths(module: nn.Module) -> Counter[nn.Module]:
    """Under how many paths a module holds each of those inside it; itself is among them."""
    return Counter(inside for _, inside in module.named_modules(remove_duplicate=False))
