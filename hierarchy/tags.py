"""Tags: how a module path is written on a node.

`/BertModel/encoder/layer.0/attention` in style `path`: the root's class, then the module
path, a numeric child joined to its parent with a dot. Style `class` writes the class of
each step instead: `/BertModel/BertEncoder/BertLayer.0/BertAttention`.
"""

from collections.abc import Iterable

import msgspec

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import ROOT, ModuleTree


class TagRules(msgspec.Struct, frozen=True):
    """How module paths become tags.

    Attributes:
        style: What the steps are named by.
        torch_nn: `ROLL_UP` gives a node inside a torch module to the nearest other module.
        depth: Keep at most this many steps below the root.
    """

    style: TagStyle = TagStyle.PATH
    torch_nn: TorchNN = TorchNN.KEEP
    depth: int | None = None


_BREAKING = frozenset("/%")


def escape(name: str) -> str:
    """Percent-encode what would break a tag: slashes, percent signs, control characters.

    >>> escape("a/b")
    'a%2Fb'
    """
    if name.isprintable() and not _BREAKING & {*name}:
        return name
    return "".join(
        "".join(f"%{byte:02X}" for byte in char.encode())
        if char in _BREAKING or not char.isprintable()
        else char
        for char in name
    )


def steps(path: str) -> list[str]:
    """The steps of a module path; a numeric name belongs to the step before it.

    A leading number has no step before it and stands as its own step; tags join it to the
    root's class.

    >>> steps("encoder.layer.0.attention")
    ['encoder', 'layer.0', 'attention']
    """
    found: list[str] = []
    for name in path.split(".") if path else ():
        if name.isdigit() and found:
            found[-1] += "." + name
        else:
            found.append(name)
    return found


class Tagger:
    """Writes module paths as tags, under one set of rules."""

    def __init__(self, tree: ModuleTree, rules: TagRules | None = None) -> None:
        self.tree = tree
        self.rules = rules or TagRules()
        self._cache: dict[str, str] = {}

    def tag(self, path: str) -> str:
        """The tag of a module path."""
        found = self._cache.get(path)
        if found is None:
            found = self._cache[path] = self._write(self.resolve(path))
        return found

    def resolve(self, path: str) -> str:
        """The module path that a tag of `path` stands for: no alias, rolled up, cut."""
        path = self.tree.canonical(path)
        if self.rules.torch_nn is TorchNN.ROLL_UP:
            path = self._rolled_up(path)
        if self.rules.depth is not None:
            path = ".".join(steps(path)[: self.rules.depth])
        return path

    def covers(self, paths: Iterable[str]) -> list[str]:
        """The tags of several origins, each once, sorted."""
        return sorted({self.tag(path) for path in paths})

    def chain(self, path: str) -> list[tuple[str, str]]:
        """(module path, class name) from the root down to `path`, a step each."""
        found = [ROOT, *_prefixes(path)]
        return [(p, self.tree[p].class_name if p in self.tree else "") for p in found]

    def _rolled_up(self, path: str) -> str:
        while path and (path not in self.tree or self.tree[path].from_torch):
            path = path.rpartition(".")[0]
        return path

    def _write(self, path: str) -> str:
        root = escape(self.tree.root.class_name)
        if self.rules.style is TagStyle.CLASS:
            return "/".join(["", root, *(self._class_step(prefix) for prefix in _prefixes(path))])
        parts = steps(path)
        if parts and _is_number(parts[0]):
            root += "." + parts.pop(0)
        return "/" + "/".join([root, *map(escape, parts)])

    def _class_step(self, path: str) -> str:
        names = path.split(".")
        numbers: list[str] = []
        while names and names[-1].isdigit():
            numbers.insert(0, names.pop())
        name = self.tree[path].class_name if path in self.tree else (names or [""])[-1]
        return ".".join([escape(name), *numbers])


def _prefixes(path: str) -> list[str]:
    """The module path up to each of its steps."""
    found: list[str] = []
    for step in steps(path):
        found.append(f"{found[-1]}.{step}" if found else step)
    return found


def _is_number(step: str) -> bool:
    return step.split(".", maxsplit=1)[0].isdigit()


def namespace(tag: str) -> str:
    """The tag without its leading slash, the form that Model Explorer nests by."""
    return tag.removeprefix("/")


def well_formed(tag: str) -> bool:
    """Whether a text is a tag at all: a leading slash, no empty step, nothing unprintable."""
    return tag.startswith("/") and tag.isprintable() and all(tag[1:].split("/"))
