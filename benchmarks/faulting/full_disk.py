"""A disk with little room: a file system in memory, which only the super-user can mount."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    return not os.getuid() and shutil.which("mount") is not None


@contextmanager
def mounted_small_disk(folder: Path, room: int) -> Iterator[None]:
    """Mount a file system on a folder, for the time of the body.

    Args:
        folder: An empty folder.
        room: Its size in bytes.
    """
    options = f"size={room},mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
