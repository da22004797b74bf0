"""Which modules of a comparison are shown: one module and what is below it, down to a depth.

A depth leaves nothing out: the deepest modules that are shown stand for all modules inside them.
"""

from collections.abc import Collection, Iterable, Sequence

from modelexport.rewriter.analysis.select_modules import no_such_module
from modelexport.rewriter.comparison.compared_file import ComparedFiles
from modelexport.rewriter.comparison.module_alignment import OUTSIDE, ModuleAlignment


class ShownModules:
    """Maps the key of each module to the key of the module that it is shown as.

    Args:
        tops: Keys of the module that is shown with everything below it; none for all modules.
            There are two when this module contains the model that the other file is alone.
        depth: How many steps below it (or below the root) modules are shown; None for all.
    """

    def __init__(self, tops: tuple[str, ...] = (), depth: int | None = None) -> None:
        self._tops = tops
        self._deepest = None if depth is None else _depth(tops[0] if tops else "") + depth

    @property
    def top(self) -> str | None:
        """Key of the module that is shown with everything below it; None for all modules."""
        return self._tops[0] if self._tops else None

    @property
    def everything(self) -> bool:
        """Whether all modules are shown, or stand inside modules that are shown."""
        return not self._tops

    def contains(self, key: str) -> bool:
        """Whether a module is the top module or below it."""
        return self.everything or any(
            key == top or key.startswith((f"{top}/", f"{top}.")) for top in self._tops
        )

    def shown_as(self, key: str) -> str | None:
        """The module that a module is shown as: itself, or the one that stands for it.

        None for a module outside the top module.
        """
        if not self.contains(key):
            return None
        return key if self._deepest is None else _cut(key, self._deepest)

    def innermost(self, keys: Iterable[str]) -> str | None:
        """The first of some modules that is shown as itself; None when there is none."""
        return next((key for key in keys if self.shown_as(key) == key), None)

    def hides(self, keys: Sequence[str]) -> bool:
        """Whether a value stays inside a module that stands for others.

        Args:
            keys: The modules that the value leaves, the innermost first.
        """
        return self.contains(keys[0]) and self.innermost(keys) is None


def choose_modules(
    files: ComparedFiles,
    alignment: ModuleAlignment,
    present: Collection[str],
    module: str | None,
    depth: int | None,
) -> ShownModules:
    """Choose the modules of two files that are shown.

    Args:
        files: The files.
        alignment: Which of their modules are the same.
        present: Keys of the modules of which a file has nodes or weights.
        module: Path or tag of the top module, in either file; None for all modules.
        depth: See `ShownModules`.

    Raises:
        UsageError: Neither file has nodes or weights of such a module.
    """
    if module is None:
        return ShownModules((), depth)
    keys_by_name = {
        name: key
        for file in reversed(files)  # the first file's names win
        for candidate in file.tree
        for name, key in alignment.names(file, candidate.path)
    }
    if module in keys_by_name:
        key = keys_by_name[module]
        shown = ShownModules((key, "") if alignment.encloses(key) else (key,), depth)
        if any(map(shown.contains, present)):
            return shown
    names = [name for name, key in keys_by_name.items() if name and key in present]
    raise no_such_module(module, names, " and ".join(str(file.path) for file in files))


def _depth(key: str) -> int:
    return len(_ancestors(key)) - 1


def _cut(key: str, depth: int) -> str:
    """The key itself, or its ancestor at a depth if it is deeper."""
    return _ancestors(key)[-depth - 1 :][0]


def _ancestors(key: str) -> list[str]:
    """A key and those above it, one step of the tag each; the root comes last."""
    keys = [key]
    while key and (key := key.rpartition("/")[0]) != OUTSIDE:
        keys.append(key)
    return keys
