"""Standard input and output in place of files."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelexport.cli.options import STDOUT
from modelexport.errors import OnnxFileError, UsageError


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


@contextmanager
def writable(output: Path | None) -> Iterator[Path | None]:
    """The file itself; for `-` one whose bytes go to standard output when it is complete.

    Raises:
        UsageError: Standard output cannot take it.
    """
    if output != STDOUT:
        yield output
        return
    if sys.stdout.isatty():
        raise UsageError("-o -: standard output is a terminal; send it to a file or a command.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stdout.onnx")
        yield path
        if len(list(Path(folder).iterdir())) > 1:
            raise UsageError("-o -: the weights are in files of their own; give OUT.onnx a name.")
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
