"""Modules under one parent that have the same classes, parameters and buffers."""

from collections import Counter, defaultdict

from torch import nn

MIN_SIBLINGS = 8
"""Minimum number of equal siblings: below, leaving layers out saves less than the check costs."""


def equal_siblings(model: nn.Module) -> list[list[str]]:
    """The paths of modules that have the same parent and the same structure.

    Modules that have several paths are no siblings of others: their weights are shared.
    """
    paths = Counter(id(module) for _, module in model.named_modules(remove_duplicate=False))
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for parent_path, parent in model.named_modules():
        children = dict(parent.named_children())
        if len(children) < MIN_SIBLINGS:
            continue
        for name, child in children.items():
            if paths[id(child)] == 1:
                path = f"{parent_path}.{name}" if parent_path else name
                groups[parent_path, _structure(child)].append(path)
    return [group for group in groups.values() if len(group) >= MIN_SIBLINGS]


def _structure(module: nn.Module) -> tuple[object, ...]:
    """What equal modules have in common: classes, and shapes and types of what they hold."""
    classes = tuple((path, type(part)) for path, part in module.named_modules())
    states = tuple(
        (name, tuple(tensor.shape), tensor.dtype)
        for named in (module.named_parameters, module.named_buffers)
        for name, tensor in named()
    )
    return classes, states
