"""The line of the model's own code that runs while an operator is observed."""

import inspect
from collections.abc import Iterator

from modelexport.tracer.eager import dispatch
from modelexport.tracer.exporters.source_lines import is_of_tracer, line_of_model


def running_line() -> str | None:
    """`file:line` of the innermost frame of the model's own code, as for exporters.

    Code that an observed operator runs itself (its decomposition) does not belong to the model.
    """
    frames: list[tuple[str, str | int]] = []
    for file, line in _running_frames():
        if file == dispatch.__file__:
            frames.clear()
        elif not is_of_tracer(file):
            frames.append((file, line))
        elif frames:
            break
    return line_of_model(frames)


def _running_frames() -> Iterator[tuple[str, int]]:
    """The file and line of each function that runs, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
