"""Which files a model is made from, found by watching it load.

A factory may import helper modules and read weights from anywhere. Its result depends on every
file that it imports and opens. `--resume` compares the content of exactly these files.
"""

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_SYSTEM = ("/dev", "/proc", "/sys")


class OpenedFiles:
    """Records which files Python opens for reading.

    Python cannot remove an audit hook: use this in a process that ends with the job.
    """

    def __init__(self) -> None:
        self._recording = False
        self._opened: set[str] = set()
        self._modules_before = set(sys.modules)
        sys.addaudithook(self._record)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while the body runs."""
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def user_files(self, folder: Path) -> list[str]:
        """The user's own files among those that were opened or imported.

        Args:
            folder: The folder that the returned paths are relative to.
        """
        modules = {
            str(file)
            for name, module in list(sys.modules.items())
            if name not in self._modules_before and (file := getattr(module, "__file__", None))
        }
        paths = {os.path.realpath(path) for path in self._opened | modules}
        return [os.path.relpath(path, folder) for path in sorted(filter(_is_users, paths))]

    def _record(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._recording or event != "open":
            return
        path, _, flags = arguments
        reading = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_RDONLY
        if reading and isinstance(path, str | bytes):
            self._opened.add(os.fsdecode(path))


def _is_users(path: str) -> bool:
    """Whether a file belongs neither to Python, nor to a package, nor to the system."""
    return (
        Path(path).is_file()
        and "__pycache__" not in path
        and not any(path.startswith(folder + os.sep) for folder in _library_folders())
    )


@cache
def _library_folders() -> set[str]:
    """The folders of Python, of installed packages, of modelexport and of the system."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    folders |= {sys.prefix, site.getusersitepackages(), *site.getsitepackages(), *_SYSTEM}
    if file := getattr(sys.modules.get("modelexport"), "__file__", None):
        package = Path(file).parent
        folders |= {str(package), *map(str, package.iterdir())}  # in a checkout these are links
    return {os.path.realpath(folder) for folder in folders if folder}
