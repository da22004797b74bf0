"""Tags: the form in which a module path is written on a node.

In style `path` a tag is the root's class, then the module path, with a numeric child joined to
its parent by a dot: `/BertModel/encoder/layer.0/attention`. In style `class` each step is the
class of a module: `/BertModel/BertEncoder/BertLayer.0/BertAttention`.
"""

from collections.abc import Iterable

import msgspec

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import ROOT, ModuleTree


class TagRules(msgspec.Struct, frozen=True):
    """How module paths become tags.

    Attributes:
        style: The names from which a tag is made.
        torch_nn: Whether a node inside a module of torch gets that module, or the nearest module
            around it that is not from torch.
        depth: Maximum number of steps below the root; None for no limit.
    """

    style: TagStyle = TagStyle.PATH
    torch_nn: TorchNN = TorchNN.KEEP
    depth: int | None = None


_ESCAPED = frozenset("/%")
"""Printable characters that would break a tag."""


def escape(name: str) -> str:
    """Percent-encode what would break a tag: slashes, percent signs, control characters.

    >>> escape("a/b")
    'a%2Fb'
    """
    if name.isprintable() and not _ESCAPED & {*name}:
        return name
    return "".join(
        "".join(f"%{byte:02X}" for byte in char.encode())
        if char in _ESCAPED or not char.isprintable()
        else char
        for char in name
    )


def path_steps(path: str) -> list[str]:
    """The steps of a module path. A numeric name belongs to the step before it.

    A number at the beginning has no step before it and is a step of its own. Tags join it to the
    root's class.

    >>> path_steps("encoder.layer.0.attention")
    ['encoder', 'layer.0', 'attention']
    """
    steps: list[str] = []
    for name in path.split(".") if path else ():
        if name.isdigit() and steps:
            steps[-1] += "." + name
        else:
            steps.append(name)
    return steps


class Tagger:
    """Writes module paths as tags.

    Args:
        tree: The modules of the model.
        rules: How module paths become tags.
    """

    def __init__(self, tree: ModuleTree, rules: TagRules | None = None) -> None:
        self.tree = tree
        self.rules = rules or TagRules()
        self._tags: dict[str, str] = {}

    def tag(self, path: str) -> str:
        """The tag of a module path."""
        tag = self._tags.get(path)
        if tag is None:
            tag = self._tags[path] = self._write(self.resolve(path))
        return tag

    def resolve(self, path: str) -> str:
        """The module path that the tag of `path` shows, after aliases, roll-up and depth."""
        path = self.tree.canonical(path)
        if self.rules.torch_nn is TorchNN.ROLL_UP:
            path = self._roll_up(path)
        if self.rules.depth is not None:
            path = ".".join(path_steps(path)[: self.rules.depth])
        return path

    def tags(self, paths: Iterable[str]) -> list[str]:
        """The tags of several module paths, each once, sorted."""
        return sorted({self.tag(path) for path in paths})

    def ancestry(self, path: str) -> list[tuple[str, str]]:
        """Module path and class name of each module from the root down to `path`."""
        paths = [ROOT, *_prefixes(path)]
        return [(p, self.tree[p].class_name if p in self.tree else "") for p in paths]

    def _roll_up(self, path: str) -> str:
        while path and (path not in self.tree or self.tree[path].from_torch):
            path = path.rpartition(".")[0]
        return path

    def _write(self, path: str) -> str:
        root = escape(self.tree.root.class_name)
        if self.rules.style is TagStyle.CLASS:
            return "/".join(["", root, *(self._class_step(prefix) for prefix in _prefixes(path))])
        steps = path_steps(path)
        if steps and _starts_with_number(steps[0]):
            root += "." + steps.pop(0)
        return "/" + "/".join([root, *map(escape, steps)])

    def _class_step(self, path: str) -> str:
        names = path.split(".")
        numbers: list[str] = []
        while names and names[-1].isdigit():
            numbers.insert(0, names.pop())
        name = self.tree[path].class_name if path in self.tree else (names or [""])[-1]
        return ".".join([escape(name), *numbers])


def _prefixes(path: str) -> list[str]:
    """The module path up to each of its steps."""
    prefixes: list[str] = []
    for step in path_steps(path):
        prefixes.append(f"{prefixes[-1]}.{step}" if prefixes else step)
    return prefixes


def _starts_with_number(step: str) -> bool:
    return step.split(".", maxsplit=1)[0].isdigit()


def namespace(tag: str) -> str:
    """The tag without its leading slash, the form by which Model Explorer nests nodes."""
    return tag.removeprefix("/")


def is_well_formed(tag: str) -> bool:
    """Whether a text is a tag: a leading slash, no empty step, no unprintable character."""
    return tag.startswith("/") and tag.isprintable() and all(tag[1:].split("/"))
