"""The parameters that a model lacks, as its error and the frames of the traceback show them."""

import linecache
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any

from modelexport.tracer.sources.generated.documented import Parameter


@dataclass(frozen=True)
class _Frame:
    """A frame of a traceback: its local values, and the text of the statement that failed."""

    values: Mapping[str, Any]
    statement: str


def innermost_values(error: BaseException) -> Mapping[str, Any]:
    """The local values of the function that raised an error."""
    frames = _frames(error.__traceback__)
    return frames[0].values if frames else {}


def named_parameters(
    message: str, values: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> Iterator[str]:
    """The parameters that a message names and the model did not get, the likeliest first."""
    words = re.findall(r"\w+", message)
    names = [
        n for n in dict.fromkeys((*words, *map(str.lower, words)))
        if n in parameters and n not in values
    ]  # fmt: skip
    yield from sorted(names, key=lambda name: not parameters[name].is_example)


def absent_parameters(
    error: BaseException, values: Mapping[str, Any], parameters: Mapping[str, Parameter]
) -> Iterator[str]:
    """The parameters that were None in the statement that failed, the likeliest first.

    The failing function may call a parameter by another name. The statement of its caller shows
    which value it passed: `mask=image_mask`.
    """
    tracked: set[str] = set()
    likely: list[str] = []
    unlikely: list[str] = []
    for frame in _frames(error.__traceback__):
        passed = {
            outer for inner, outer in re.findall(r"(\w+)\s*=\s*(\w+)", frame.statement)
            if inner in tracked
        }  # fmt: skip
        absent = [
            name for name, value in frame.values.items()
            if value is None and re.search(rf"\b{name}\b", frame.statement)
        ]  # fmt: skip
        followed = [name for name in absent if name in passed or name in tracked]
        for name in followed or absent:
            endings = (p for p in parameters if p.endswith(f"_{name}"))
            matches = [p for p in (name, *endings) if p in parameters and p not in values]
            likely += [p for p in matches if parameters[p].is_example]
            unlikely += [p for p in matches if not parameters[p].is_example]
        tracked = set(followed or absent)
    yield from dict.fromkeys(likely if values else (*likely, *unlikely))


def _frames(traceback: TracebackType | None) -> list[_Frame]:
    """The frames of a traceback, the innermost first."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        position = next(islice(code.co_positions(), traceback.tb_lasti // 2, None), None)
        first, last = traceback.tb_lineno, (position[1] if position else None)
        lines = range(first, (last or first) + 1)
        statement = "".join(linecache.getline(code.co_filename, line) for line in lines)
        frames.append(_Frame(traceback.tb_frame.f_locals, statement))
        traceback = traceback.tb_next
    return frames[::-1]
