"""Which modules of one file are shown, as in a comparison of two files."""

from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.shown_modules import choose_modules


class ShownInFile:
    """The modules of one file that are shown.

    Args:
        file: The file.
        module: Path or tag of the module that is shown with everything below it; None for all.
        depth: How many steps below that (or below the root) modules are shown; None for all.

    Attributes:
        alignment: The keys of the modules.
        modules: Which of them are shown.

    Raises:
        UsageError: The file has no such module.
    """

    def __init__(self, file: ComparedFile, module: str | None, depth: int | None) -> None:
        self._file = file
        self.alignment = ModuleAlignment((file, file))
        present = {self.key(path) for path in file.modules if path is not None}
        self.modules = choose_modules((file, file), self.alignment, present, module, depth)

    def key(self, path: str) -> str:
        """The key of a module."""
        return self.alignment.key(self._file, path)

    def shows(self, path: str) -> bool:
        """Whether a module is shown as itself."""
        return path not in self._file.tree or self.modules.shown_as(self.key(path)) == self.key(
            path
        )

    def tag(self, path: str) -> str | None:
        """The tag of the module that a module is shown as; None when it is not shown."""
        if path not in self._file.tree:
            return path
        key = self.modules.shown_as(self.key(path))
        return None if key is None else self.alignment.tag(key)
