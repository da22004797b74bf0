"""Source lines of nodes, from the stack traces that exporters keep."""

import re
import sys
from functools import cache
from pathlib import Path

import torch

_TORCH = str(Path(torch.__file__).parent)
_JIT_FRAME = re.compile(r"^(?P<file>.+)\((?P<line>\d+)\): ", re.MULTILINE)
_PYTHON_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)


@cache
def innermost_line(trace: str) -> str | None:
    """`file:line` of the innermost frame, of the model's own code where there is one.

    Args:
        trace: A TorchScript source range (innermost frame first) or a Python stack trace
            (innermost frame last).
    """
    frames = [(m["file"], m["line"]) for m in _JIT_FRAME.finditer(trace)]
    frames = frames or [(m["file"], m["line"]) for m in _PYTHON_FRAME.finditer(trace)][::-1]
    frames = [frame for frame in frames if not frame[0].startswith("<")]
    if not frames:
        return None
    own = next((frame for frame in frames if not _machinery(frame[0])), frames[0])
    return f"{_relative(own[0])}:{own[1]}"


@cache
def _machinery(file: str) -> bool:
    return file.startswith(_TORCH) or Path(file).parent == Path(__file__).parent.parent


@cache
def _relative(file: str) -> str:
    """The path below the folder that Python imports it from; else the bare name."""
    path = Path(file)
    roots = [Path(entry) for entry in sys.path if entry and Path(entry) in path.parents]
    deepest = max(roots, key=lambda root: len(root.parts), default=path.parent)
    return path.relative_to(deepest).as_posix()
