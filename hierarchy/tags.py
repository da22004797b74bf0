"""Tags: the form in which a module path is written on a node.

In style `path` a tag is the root's class, then the module path, with a numeric child joined to
its parent by a dot: `/BertModel/encoder/layer.0/attention`. In style `class` each step is the
class of a module: `/BertModel/BertEncoder/BertLayer.0/BertAttention`.
"""

import re
from collections.abc import Iterable
from functools import cached_property

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


_STEP_END = re.compile(r"\.(?![0-9]+(?:\.|$))")
"""A dot of an ASCII path after which a new step begins (no number follows it)."""


def escape(name: str) -> str:
    """Percent-encode what would break a tag: slashes, percent signs, control characters.

    >>> escape("a/b")
    'a%2Fb'
    """
    if is_plain(name):
        return name
    return "".join(
        "".join(f"%{byte:02X}" for byte in char.encode())
        if char in _ESCAPED or not char.isprintable()
        else char
        for char in name
    )


def is_plain(text: str) -> bool:
    """Whether a text has nothing to escape."""
    return text.isprintable() and "/" not in text and "%" not in text


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
        self._rolled_up: dict[str, str] = {ROOT: ROOT}
        self._path_tags: dict[str, str] = {}
        self._class_tags: dict[str, str] = {}

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

    @cached_property
    def paths(self) -> dict[str, str]:
        """Every tag that the rules can write, to the first module path that has it."""
        paths: dict[str, str] = {}
        for module in self.tree:
            tag = self.tag(module.path)
            if tag not in paths:
                paths[tag] = self.resolve(module.path)
        return paths

    def is_like(self, other: "Tagger") -> bool:
        """Whether another tagger has equal modules and rules, so that it writes the same tags."""
        return self.rules == other.rules and self.tree.has_same_modules(other.tree)

    def tags(self, paths: Iterable[str]) -> list[str]:
        """The tags of several module paths, each once, sorted."""
        return sorted({self.tag(path) for path in paths})

    def ancestry(self, path: str) -> list[tuple[str, str]]:
        """Module path and class name of each module from the root down to `path`."""
        paths = [ROOT, *_prefixes(path)]
        return [(p, self.tree[p].class_name if p in self.tree else "") for p in paths]

    def _roll_up(self, path: str) -> str:
        below: list[str] = []
        while path not in self._rolled_up:
            if path in self.tree and not self.tree[path].from_torch:
                self._rolled_up[path] = path
            else:
                below.append(path)
                path = path.rpartition(".")[0]
        result = self._rolled_up[path]
        self._rolled_up.update(dict.fromkeys(below, result))
        return result

    def _write(self, path: str) -> str:
        if self.rules.style is TagStyle.CLASS:
            return self._write_classes(path)
        if not path:
            return self._root
        above, _, name = path.rpartition(".")
        tag_above = self._path_tags.get(above) if above else self._root
        if tag_above is None:
            tag = self._write_whole(path)
        else:
            tag = f"{tag_above}{'.' if name.isdigit() else '/'}{escape(name)}"
        self._path_tags[path] = tag
        return tag

    def _write_whole(self, path: str) -> str:
        """The tag of a path in style `path`, without that of the path above."""
        below = (
            _STEP_END.sub("/", path)
            if path.isascii() and is_plain(path)
            else "/".join(map(escape, path_steps(path)))
        )
        return f"{self._root}{'.' if _starts_with_number(path) else '/'}{below}"

    @cached_property
    def _root(self) -> str:
        """The tag of the root."""
        return "/" + escape(self.tree.root.class_name)

    def _write_classes(self, path: str) -> str:
        """The tag in style `class`: the tag of the path above, and one step more."""
        below: list[tuple[str, str]] = []
        while path and path not in self._class_tags:
            above, step = _split_last_step(path)
            below.append((path, self._class_step(path, step)))
            path = above
        tag = self._class_tags[path] if path else self._root
        for path_below, step in reversed(below):
            tag = self._class_tags[path_below] = f"{tag}/{step}"
        return tag

    def _class_step(self, path: str, step: str) -> str:
        """The class of the last step of a path, and the numbers of this step."""
        name, *numbers = step.split(".")
        if name.isdigit():
            name, numbers = "", [name, *numbers]
        if path in self.tree:
            name = self.tree[path].class_name
        return ".".join([escape(name), *numbers])


def _prefixes(path: str) -> list[str]:
    """The module path up to each of its steps."""
    prefixes: list[str] = []
    for step in path_steps(path):
        prefixes.append(f"{prefixes[-1]}.{step}" if prefixes else step)
    return prefixes


def _split_last_step(path: str) -> tuple[str, str]:
    """A path without its last step, and this step; see `path_steps`."""
    above, dot, name = path.rpartition(".")
    while dot and name.isdigit():
        above, dot, name = above.rpartition(".")
    return above, path[len(above) + len(dot) :]


def _starts_with_number(path: str) -> bool:
    return path.partition(".")[0].isdigit()


def namespace(tag: str) -> str:
    """The tag without its leading slash, the form by which Model Explorer nests nodes."""
    return tag.removeprefix("/")


def is_well_formed(tag: str) -> bool:
    """Whether a text is a tag: a leading slash, no empty step, no unprintable character."""
    return tag.startswith("/") and tag.isprintable() and all(tag[1:].split("/"))
