"""Which modules of a comparison are shown: one and what is below it, down to a depth.

Nothing is lost by a depth: the deepest modules that are shown stand for all inside them.
"""

from collections.abc import Collection, Iterable, Sequence

from modelexport.rewriter.analysis.select_modules import no_such_module
from modelexport.rewriter.comparison.compared_file import Side
from modelexport.rewriter.comparison.module_alignment import OUTER, Units


class Shown:
    """Maps the keys of modules to the keys of those that are shown.

    Args:
        tops: Keys of the module that is shown with what is below it; none for everything. It has
            two when it holds the model that the other file is alone.
        depth: How many steps below it (or below the root) modules are shown; None for all.
    """

    def __init__(self, tops: tuple[str, ...] = (), depth: int | None = None) -> None:
        self._tops = tops
        self._deepest = None if depth is None else _depth(tops[0] if tops else "") + depth

    @property
    def top(self) -> str | None:
        """Key of the module that is shown with what is below it; None for everything."""
        return self._tops[0] if self._tops else None

    @property
    def everything(self) -> bool:
        """Whether no module is left out."""
        return not self._tops

    def within(self, key: str) -> bool:
        """Whether a module is the one that is shown, or below it."""
        return self.everything or any(
            key == top or key.startswith((f"{top}/", f"{top}.")) for top in self._tops
        )

    def row(self, key: str) -> str | None:
        """The module that a module is shown as: itself, or one above that stands for it."""
        if not self.within(key):
            return None
        return key if self._deepest is None else _cut(key, self._deepest)

    def border(self, keys: Iterable[str]) -> str | None:
        """The innermost module that is shown as itself, of some that are given innermost first."""
        return next((key for key in keys if self.row(key) == key), None)

    def hides(self, keys: Sequence[str]) -> bool:
        """Whether a value that leaves these modules stays inside one that stands for them."""
        return self.within(keys[0]) and self.border(keys) is None


def choose(
    sides: tuple[Side, Side],
    units: Units,
    held: Collection[str],
    module: str | None,
    depth: int | None,
) -> Shown:
    """What is shown of two files.

    Args:
        sides: The files.
        units: Which of their modules are the same.
        held: Keys of those of which a file has something.
        module: Path or tag, in either file; None for everything.
        depth: See `Shown`.

    Raises:
        UsageError: Neither file has nodes or weights of such a module.
    """
    if module is None:
        return Shown((), depth)
    known = {
        name: key
        for number, side in reversed(list(enumerate(sides)))  # the first file's names win
        for each in side.tree
        for name, key in units.names(number, each.path)
    }
    if module in known:
        key = known[module]
        shown = Shown((key, "") if units.around(key) else (key,), depth)
        if any(map(shown.within, held)):
            return shown
    names = [name for name, key in known.items() if name and key in held]
    raise no_such_module(module, names, " and ".join(str(side.path) for side in sides))


def _depth(key: str) -> int:
    return len(_upwards(key)) - 1


def _cut(key: str, depth: int) -> str:
    """The key at a depth above a deeper one."""
    return _upwards(key)[-depth - 1 :][0]


def _upwards(key: str) -> list[str]:
    """A key and those above it, a step of the tag each; the root, or the outer one, comes last."""
    found = [key]
    while key and (key := key.rpartition("/")[0]) != OUTER:
        found.append(key)
    return found
