"""Which modules of two files are the same: the rows of a comparison.

A module is identified by its path, or by its classes where the tags of one file were written by
class. Where the tags of a file were rolled up or cut, the modules of both files are rolled up and
cut in the same way. A model that is a module of the other one (an encoder, and the classifier
that it is part of) is found by its class.

Modules that are the same have the same key: the tag below the root of the part that both files
have.
"""

from collections.abc import Iterator

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles

OUTSIDE = "<outside>"
"""Prefix of the key of a module that is outside the part that both files have."""


class ModuleAlignment:
    """Maps the modules of both files to keys that they share.

    Args:
        files: The files.

    Attributes:
        rules: The rules by which both files are tagged in the comparison.
        note: What was done beyond comparing paths; None when nothing was.
    """

    def __init__(self, files: ComparedFiles) -> None:
        self.rules = _common_rules(*(file.hierarchy.rules for file in files))
        self._taggers = tuple(Tagger(file.tree, self.rules) for file in files)
        self._roots, self.note = _common_roots(files, self._taggers)
        self._shown_tags: dict[str, str] = {}
        for file in files:
            for module in file.tree:
                tag = self._taggers[file.index].tag(module.path)
                self._shown_tags.setdefault(self._key_of_tag(file, tag), tag)

    def key(self, file: ComparedFile, path: str) -> str:
        """The key of a module of a file."""
        return self._key_of_tag(file, self._taggers[file.index].tag(path))

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
        tag = key.removeprefix(OUTSIDE)
        return tag != key and any(root.startswith((f"{tag}/", f"{tag}.")) for root in self._roots)

    def resolve(self, file: ComparedFile, path: str) -> str:
        """The module path that a path stands for: no alias, rolled up and cut as in both files."""
        return self._taggers[file.index].resolve(path)

    def tag(self, key: str) -> str:
        """The tag that is shown for a key: that of the first file if it has the module."""
        outside = key.removeprefix(OUTSIDE)
        return self._shown_tags.get(key) or (outside if outside != key else self._roots[0] + key)

    def _key_of_tag(self, file: ComparedFile, tag: str) -> str:
        root = self._roots[file.index]
        rest = tag.removeprefix(root)
        inside = tag == root or (rest != tag and rest[0] in "/.")
        return rest if inside else OUTSIDE + tag


def _common_roots(
    files: ComparedFiles, taggers: tuple[Tagger, ...]
) -> tuple[tuple[str, str], str | None]:
    """The tag in each file of the root of the part that both have; and a note about it.

    This is the root of each file, unless the root of one is a module inside the other.
    """
    roots = taggers[0].tag(""), taggers[1].tag("")
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
            tag = taggers[outer.index].tag(path)
            return ((tag, roots[1]) if outer.index == 0 else (roots[0], tag)), note
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
