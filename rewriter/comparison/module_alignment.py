"""Which modules of two files are the same: what the rows of a comparison stand for.

A module is known by its path, or by its classes where one of the files was tagged by these. If
the files' tags were rolled up or cut, both are, as far as either. A model inside another one
(an encoder, and the classifier that it is part of) is found by its class.
"""

from collections.abc import Iterator

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.comparison.compared_file import Side

OUTER = "<outside>"
"""Opens the key of a module around the part that both files have."""


class Units:
    """Maps the modules of both files to keys that they share.

    Args:
        sides: The files.

    Attributes:
        rules: By which both are tagged here.
        note: What was done beyond comparing paths, if anything.
    """

    def __init__(self, sides: tuple[Side, Side]) -> None:
        self.rules = _common(*(side.hierarchy.rules for side in sides))
        self._taggers = tuple(Tagger(side.tree, self.rules) for side in sides)
        self._starts = [tagger.tag("") for tagger in self._taggers]
        self.note: str | None = None
        self._embed(sides)
        self._shown: dict[str, str] = {}
        for number, side in enumerate(sides):
            for module in side.tree:
                tag = self._taggers[number].tag(module.path)
                self._shown.setdefault(self._key(number, tag), tag)

    def key(self, side: int, path: str) -> str:
        """The key of a module of the first (0) or second (1) file."""
        return self._key(side, self._taggers[side].tag(path))

    def names(self, side: int, path: str) -> Iterator[tuple[str, str]]:
        """What a module of a file may be called by a user, its path and its tag, and its key.

        One whose nodes carry the tag of a module above it is called by that one's names.
        """
        key = self.key(side, path)
        if self.resolve(side, path) == path:
            yield path, key
            yield self._taggers[side].tag(path), key

    def around(self, key: str) -> bool:
        """Whether a key is that of a module around the part that both files have."""
        tag = key.removeprefix(OUTER)
        return tag != key and any(
            start.startswith((f"{tag}/", f"{tag}.")) for start in self._starts
        )

    def resolve(self, side: int, path: str) -> str:
        """The module path that stands for a path: no alias, rolled up and cut as in both files."""
        return self._taggers[side].resolve(path)

    def tag(self, key: str) -> str:
        """How a key is shown: the first file's tag where it has the module."""
        outer = key.removeprefix(OUTER)
        return self._shown.get(key) or (outer if outer != key else self._starts[0] + key)

    def _key(self, side: int, tag: str) -> str:
        start = self._starts[side]
        rest = tag.removeprefix(start)
        within = tag == start or (rest != tag and rest[0] in "/.")
        return rest if within else OUTER + tag

    def _embed(self, sides: tuple[Side, Side]) -> None:
        """If one root is a module within the other, that is where both meet."""
        roots = [side.tree.root for side in sides]
        if roots[0].class_name == roots[1].class_name:
            return
        for number in (0, 1):
            inner, outer = roots[number], sides[1 - number]
            found = [m for m in outer.tree if _alike(m, inner) and m.path and m.alias_of is None]
            if len(found) == 1:
                self._starts[1 - number] = self._taggers[1 - number].tag(found[0].path)
                names = sides[number].path.name, outer.path.name
                self.note = f"all of {names[0]} is compared with {found[0].path} of {names[1]}"
                return


def _alike(module: Module, other: Module) -> bool:
    return bool(other.class_name) and module.class_name == other.class_name


def _common(left: TagRules, right: TagRules) -> TagRules:
    style = TagStyle.CLASS if TagStyle.CLASS in {left.style, right.style} else TagStyle.PATH
    rolled = TorchNN.ROLL_UP in {left.torch_nn, right.torch_nn}
    depths = [depth for depth in (left.depth, right.depth) if depth is not None]
    return TagRules(
        style, TorchNN.ROLL_UP if rolled else TorchNN.KEEP, min(depths) if depths else None
    )
