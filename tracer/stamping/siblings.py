"""Modules of one class under one parent."""

from collections import Counter, defaultdict

from torch import nn

MIN_SIBLINGS = 8
"""Minimum number of siblings: of fewer, too few can be left out to be worth the check."""


def siblings(model: nn.Module) -> list[list[str]]:
    """The paths of modules that have the same parent and the same class, by group.

    Modules that have several paths are no siblings of others: their weights are shared.
    """
    paths = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    groups: dict[tuple[str, type], list[str]] = defaultdict(list)
    for parent_path, parent in model.named_modules():
        children = dict(parent.named_children())
        if len(children) < MIN_SIBLINGS:
            continue
        for name, child in children.items():
            if paths[id(child)] == 1:
                path = f"{parent_path}.{name}" if parent_path else name
                groups[parent_path, type(child)].append(path)
    return [group for group in groups.values() if len(group) >= MIN_SIBLINGS]
