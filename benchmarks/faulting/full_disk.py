"""A disk with little room: a file system in memory, which only the super-user can mount."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.getuid() or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted_small_disk(Path(folder), 1 << 16):
                return True
        except subprocess.CalledProcessError:
            return False  # the super-user of a container


@contextmanager
def mounted_small_disk(folder: Path, room: int) -> Iterator[None]:
    """Mount a file system on a folder while the body runs.

    Args:
        folder: An empty folder.
        room: Its size in bytes.
    """
    options = f"size={room},mode=0777"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
