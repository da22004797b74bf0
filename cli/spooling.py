"""Standard input in place of a file."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.options import STDOUT
from hierarchy.errors import OnnxFileError


@contextmanager
def readable(model: Path) -> Iterator[Path]:
    """The file itself; for `-` one that holds what came in on standard input, while it is needed.

    Raises:
        OnnxFileError: Nothing came in.
    """
    if model != STDOUT:
        yield model
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdin.onnx")
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        if not path.stat().st_size:
            raise OnnxFileError("-: nothing came in on standard input.")
        yield path
