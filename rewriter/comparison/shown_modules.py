"""Which modules of a comparison are shown: one module and what is below it, down to a depth.

A depth leaves nothing out: the deepest modules that are shown stand for all modules inside them.
"""

from collections.abc import Collection, Iterable, Sequence

from modelexport.rewriter.annotation.find_module import no_such_module
from modelexport.rewriter.comparison.compared_file import ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment


class ShownModules:
    """Maps the key of each module to the key of the module that it is shown as.

    Args:
        alignment: Which key is inside which.
        working: Keys of the modules that have nodes or weights of their own in a file. A numbered
            module inside another one is one step with it, unless this one is among them.
        tops: Keys of the module that is shown with everything below it; none for all modules.
            There are two when this module contains the model that the other file is alone.
        depth: How many steps below it (or below the root) modules are shown; None for all.
    """

    def __init__(
        self,
        alignment: ModuleAlignment,
        working: Collection[str] = (),
        tops: tuple[str, ...] = (),
        depth: int | None = None,
    ) -> None:
        self._alignment = alignment
        self._working = working
        self._tops = tops
        self._depth = depth

    @property
    def top(self) -> str | None:
        """Key of the module that is shown with everything below it; None for all modules."""
        return self._tops[0] if self._tops else None

    @property
    def everything(self) -> bool:
        """Whether all modules are shown, or stand inside modules that are shown."""
        return not self._tops

    @property
    def as_they_are(self) -> bool:
        """Whether each module is shown as itself."""
        return self.everything and self._depth is None

    def contains(self, key: str) -> bool:
        """Whether a module is the top module or below it."""
        return self.everything or any(above in self._tops for above in self._alignment.upwards(key))

    def shown_as(self, key: str) -> str | None:
        """The module that a module is shown as: itself, or the one that stands for it.

        None for a module outside the top module.
        """
        if self.as_they_are:
            return key
        if not self.contains(key):
            return None
        if self._depth is None:
            return key
        shown, steps = "", 0
        for number, inside in enumerate(self._from_top(key)):
            joined = number > 1 and inside in self._alignment.joined and shown not in self._working
            steps += number > 0 and not joined
            if steps > self._depth:
                return shown
            shown = inside
        return shown

    def _from_top(self, key: str) -> list[str]:
        """A key and those around it up to the top module, which comes first."""
        keys = []
        for above in self._alignment.upwards(key):
            keys.append(above)
            if above in self._tops:
                break
        return keys[::-1]

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
        return ShownModules(alignment, present, depth=depth)
    keys_by_name = {
        name: key
        for file in reversed(files)  # the first file's names win
        for candidate in file.tree
        for name, key in alignment.names(file, candidate.path)
    }
    if module in keys_by_name:
        key = keys_by_name[module]
        tops = (key, "") if alignment.encloses(key) else (key,)
        shown = ShownModules(alignment, present, tops, depth)
        if any(map(shown.contains, present)):
            return shown
    names = [name for name, key in keys_by_name.items() if name and key in present]
    raise no_such_module(module, names, " and ".join(str(file.path) for file in files))
