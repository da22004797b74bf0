"""Which modules of two files are the same: the rows of a comparison.

A module is identified by its path, or by its classes where the tags of one file were written by
class. Where the tags of a file were rolled up or cut, the modules of both files are rolled up and
cut in the same way. A model that is a module of the other one (an encoder, and the classifier
that it is part of) is found by its class.

Modules that are the same have the same key: the tag below the root of the part that both files
have. Which key is inside which is known from the module trees, not from the text of the keys.
"""

from collections.abc import Iterable, Iterator

import msgspec

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import ROOT, Module, ModuleTree, is_within
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.analysis.module_nesting import ModuleNesting
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles

OUTSIDE = "<outside>"
"""Prefix of the key of a module that is outside the part that both files have."""


class ModuleAlignment:
    """Maps the modules of both files to keys that they share.

    Args:
        files: The files.

    Attributes:
        rules: The rules by which both files are tagged in the comparison.
        note: What was done besides comparing paths; None if nothing was.
        parents: The key around each key. The root of the part that both files have, and the root
            of a file around it, have none.
        joined: Keys of numbered modules whose name is one step with that of their parent.
    """

    def __init__(self, files: ComparedFiles) -> None:
        self.rules = _common_rules(*(file.hierarchy.rules for file in files))
        self._taggers = tuple(
            file.tagger if file.tagger.rules == self.rules else Tagger(file.tree, self.rules)
            for file in files
        )
        self._roots, self.note = _common_roots(files)
        self._parts = tuple(
            Tagger(_subtree(file.tree, root), self.rules) if root else tagger
            for file, root, tagger in zip(files, self._roots, self._taggers, strict=True)
        )
        are_alike = self._taggers[0] is self._taggers[1] and self._roots[0] == self._roots[1]
        keys: dict[str, str] = {}
        self._keys = (keys, keys if are_alike else {})
        self._shown_tags: dict[str, str] = {}
        self.parents: dict[str, str] = {}
        self.joined: set[str] = set()
        for file in files[:1] if are_alike else files:
            for module in file.tree:
                tag = self._taggers[file.index].tag(module.path)
                self._shown_tags.setdefault(self.key(file, module.path), tag)
            self._add_nesting(file)
        self._around = {
            self.key(file, path) for file in files for path in _around(self._roots[file.index])
        }

    def _add_nesting(self, file: ComparedFile) -> None:
        """Note which keys of a file are inside which; the first file's nesting counts."""
        tagger = self._taggers[file.index]
        nesting = ModuleNesting(file.tree, tagger.resolve, lambda path: self.key(file, path))
        for key, parent in nesting.parents.items():
            if key != ROOT and key not in self.parents:
                self.parents[key] = parent
                if key in nesting.joined:
                    self.joined.add(key)

    def upwards(self, key: str) -> Iterator[str]:
        """A key and those around it, the outermost last."""
        yield key
        while key in self.parents:
            key = self.parents[key]
            yield key

    def key(self, file: ComparedFile, path: str) -> str:
        """The key of a module of a file."""
        keys = self._keys[file.index]
        key = keys.get(path)
        if key is None:
            key = keys[path] = self._find_key(file, path)
        return key

    def _find_key(self, file: ComparedFile, path: str) -> str:
        path, root = file.tree.canonical(path), self._roots[file.index]
        if not is_within(path, root):
            return OUTSIDE + self._taggers[file.index].tag(path)
        part = self._parts[file.index]
        return part.tag(_below(path, root)).removeprefix(part.tag(ROOT))

    def names(self, file: ComparedFile, path: str) -> Iterator[tuple[str, str]]:
        """The names that a user may give to a module, its path and its tag, each with its key.

        There are none for a module whose nodes carry the tag of a module above it.
        """
        key = self.key(file, path)
        if self.resolve(file, path) == path:
            yield path, key
            yield self._taggers[file.index].tag(path), key

    def encloses(self, key: str) -> bool:
        """Whether a module is around the part that both files have."""
        return key.startswith(OUTSIDE) and key in self._around

    def resolve(self, file: ComparedFile, path: str) -> str:
        """The module path that a path stands for: no alias, rolled up and cut as in both files."""
        return self._taggers[file.index].resolve(path)

    def tag(self, key: str) -> str:
        """The tag that is shown for a key: that of the first file if it has the module."""
        outside = key.removeprefix(OUTSIDE)
        return self._shown_tags.get(key) or outside


def _subtree(tree: ModuleTree, root: str) -> ModuleTree:
    """The modules at and below a path, under their paths below it."""
    return ModuleTree(
        msgspec.structs.replace(module, path=_below(module.path, root), alias_of=None)
        for module in tree
        if is_within(module.path, root)
    )


def _below(path: str, root: str) -> str:
    """The rest of a path below a module that contains it."""
    return path[len(root) + 1 :] if root else path


def _around(path: str) -> Iterable[str]:
    """The paths of the modules around a module."""
    names = path.split(".") if path else []
    return (".".join(names[:count]) for count in range(len(names)))


def _common_roots(files: ComparedFiles) -> tuple[tuple[str, str], str | None]:
    """The path in each file of the root of the part that both have; and a note about it.

    This is the root of each file, unless the root of one is a module inside the other.
    """
    roots = ROOT, ROOT
    if files[0].tree.root.class_name == files[1].tree.root.class_name:
        return roots, None
    for inner, outer in (files, files[::-1]):
        root = inner.tree.root
        matches = [
            module
            for module in outer.tree
            if _same_class(module, root) and module.path and module.alias_of is None
        ]
        if len(matches) == 1:
            path = matches[0].path
            note = f"all of {inner.path.name} is compared with {path} of {outer.path.name}"
            return ((path, ROOT) if outer.index == 0 else (ROOT, path)), note
    return roots, None


def _same_class(module: Module, other: Module) -> bool:
    return bool(other.class_name) and module.class_name == other.class_name


def _common_rules(left: TagRules, right: TagRules) -> TagRules:
    """Rules under which the tags of both files can be written."""
    style = TagStyle.CLASS if TagStyle.CLASS in {left.style, right.style} else TagStyle.PATH
    rolled_up = TorchNN.ROLL_UP in {left.torch_nn, right.torch_nn}
    depths = [depth for depth in (left.depth, right.depth) if depth is not None]
    return TagRules(
        style, TorchNN.ROLL_UP if rolled_up else TorchNN.KEEP, min(depths) if depths else None
    )
