"""Source lines of nodes, from the stack traces that exporters keep."""

import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch

_TORCH = Path(torch.__file__).parent
_TRACER = Path(__file__).parent.parent
_JIT_FRAME = re.compile(r"^(?P<file>.+)\((?P<line>\d+)\): ", re.MULTILINE)
_PYTHON_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)


@cache
def innermost_line(trace: str) -> str | None:
    """`file:line` of the innermost frame of the model's own code.

    Where the model runs nothing but modules of torch, it is the innermost frame of torch. The
    callers of the model do not count: the frames of the tracer, and all frames outside them.

    Args:
        trace: A TorchScript source range (innermost frame first) or a Python stack trace
            (innermost frame last).
    """
    frames = [(m["file"], m["line"]) for m in _JIT_FRAME.finditer(trace)]
    frames = frames or [(m["file"], m["line"]) for m in _PYTHON_FRAME.finditer(trace)][::-1]
    return line_of_model([*takewhile(lambda frame: not is_of_tracer(frame[0]), frames)])


def is_of_tracer(file: str) -> bool:
    """Whether a file is code of the tracer."""
    return _is_within(file, _TRACER)


def line_of_model(frames: Sequence[tuple[str, str | int]]) -> str | None:
    """`file:line` of the innermost frame outside of torch; else of torch.nn, else of any.

    Args:
        frames: File and line of each frame, the innermost first.

    Returns:
        None when there are no frames of files.
    """
    frames = [frame for frame in frames if not frame[0].startswith("<")]
    if not frames:
        return None
    of_model = (frame for frame in frames if not _is_within(frame[0], _TORCH))
    of_modules = (frame for frame in frames if _is_within(frame[0], _TORCH / "nn"))
    file, line = next(of_model, None) or next(of_modules, frames[0])
    return f"{_relative(file)}:{line}"


@cache
def _is_within(file: str, folder: Path) -> bool:
    return folder in Path(file).parents


@cache
def _relative(file: str) -> str:
    """The path relative to the folder from which Python imports it, else to that of its package.

    A module that was compiled on another machine may have a path of that machine.
    """
    path = Path(file)
    roots = [Path(entry) for entry in sys.path if entry and Path(entry) in path.parents]
    roots = [root for root in roots if root != Path(root.anchor)]
    deepest = max(roots, key=lambda root: len(root.parts), default=_around_package(path))
    return PurePosixPath(
        *path.relative_to(deepest).parts[:-1], PureWindowsPath(file).name
    ).as_posix()


def _around_package(path: Path) -> Path:
    """The folder around the package that a file is in, as it may be installed for editing."""
    folder = path.parent
    while folder.parent != folder and (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder
