"""Which files a model is made from, found by watching it load.

A factory may import helpers and read weights from anywhere. What it opens and imports is what
its result depends on, so that `--resume` can look at the content of exactly these files.
"""

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_OURS = ("modelexport",)
_SYSTEM = ("/dev", "/proc", "/sys")


class Watch:
    """Notes what Python opens for reading.

    An audit hook cannot be taken away again: use it in a process that ends with the job.
    """

    def __init__(self) -> None:
        self._on = False
        self._opened: set[str] = set()
        self._loaded = set(sys.modules)
        sys.addaudithook(self._hear)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Watch while the body runs."""
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def files(self, folder: Path) -> list[str]:
        """The user's files among those seen, relative to a folder."""
        modules = {
            str(file)
            for name, module in list(sys.modules.items())
            if name not in self._loaded and (file := getattr(module, "__file__", None))
        }
        real = {os.path.realpath(path) for path in self._opened | modules}
        ours = sorted(path for path in real if _is_users(path))
        return [os.path.relpath(path, folder) for path in ours]

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self._on or event != "open":
            return
        path, _, flags = arguments
        reading = isinstance(flags, int) and flags & os.O_ACCMODE == os.O_RDONLY
        if reading and isinstance(path, str | bytes):
            self._opened.add(os.fsdecode(path))


def _is_users(path: str) -> bool:
    """Whether a file is neither Python's, nor a package's, nor the system's."""
    return (
        Path(path).is_file()
        and "__pycache__" not in path
        and not any(path.startswith(place + os.sep) for place in _foreign())
    )


@cache
def _foreign() -> set[str]:
    places = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    places |= {sys.prefix, site.getusersitepackages(), *site.getsitepackages(), *_SYSTEM}
    places |= {
        str(Path(file).parent)
        for name in _OURS
        if (file := getattr(sys.modules.get(name), "__file__", None))
    }
    return {os.path.realpath(place) for place in places if place}
