"""The tree that tags make: which tags are below which, and what a module is called there."""

from collections.abc import Iterable


def children_by_tag(tags: Iterable[str]) -> dict[str | None, list[str]]:
    """The tags directly below each tag, in the order of `tags`; the topmost are below None.

    A tag whose parent is missing is below the nearest ancestor that is there. Tags without
    children have no entry.

    >>> children_by_tag(["/Net", "/Net/layer.0", "/Net/layer.0/fc"])
    {None: ['/Net'], '/Net': ['/Net/layer.0'], '/Net/layer.0': ['/Net/layer.0/fc']}
    """
    present = dict.fromkeys(tags)
    children: dict[str | None, list[str]] = {}
    for tag in present:
        parent = parent_tag(tag)
        while parent is not None and parent not in present:
            parent = parent_tag(parent)
        children.setdefault(parent, []).append(tag)
    return children


def parent_tag(tag: str) -> str | None:
    """The tag without its last step or number; None above the root.

    >>> parent_tag("/Net/layer.0"), parent_tag("/Net/layer"), parent_tag("/Net")
    ('/Net/layer', '/Net', None)
    """
    end = max(tag.rfind("/"), tag.rfind("."))
    return tag[:end] if end > 0 else None


def step_below(tag: str, ancestor: str | None) -> str:
    """What a tag adds to that of an ancestor, with the separator; without one the whole tag.

    >>> step_below("/Net/layer.0", "/Net")
    '/layer.0'
    """
    return tag.removeprefix(ancestor or "")


def name_of_step(step: str) -> str:
    """A step without its separator.

    >>> name_of_step("/layer.0"), name_of_step(".0")
    ('layer.0', '0')
    """
    return step.lstrip("/.")


def short_name(tag: str, ancestor: str | None) -> str:
    """What a module is called below an ancestor; without one, its whole tag.

    >>> short_name("/Net/layer.0", "/Net"), short_name("/Net/layer.0", None)
    ('layer.0', 'Net/layer.0')
    """
    return name_of_step(step_below(tag, ancestor))
