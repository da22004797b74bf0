"""Profiles as files for other tools: Perfetto, speedscope, flame graphs, Model Explorer."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from modelexport.hierarchy.profile_options import ProfileFiles
from modelexport.hierarchy.tags import namespace
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, Slice
from modelexport.rewriter.profiling.results import Profile
from modelexport.support.files import atomic_replacement, attribute_errors_to

if TYPE_CHECKING:
    from pathlib import Path

    from modelexport.rewriter.profiling.match_optimised import OptimisedFile

_NO_MODULE = "(no module)"
_COLD, _HOT = "#fff7ec", "#d7301f"
"""Colours of the fastest and the slowest node in Model Explorer."""


@dataclass(frozen=True)
class ChargedLayer:
    """A layer with its module.

    Attributes:
        layer: The layer.
        tag: Tag of its module; None where no module is known.
        nodes: Names of the nodes that it runs.
    """

    layer: RecordedLayer
    tag: str | None
    nodes: tuple[str, ...] = ()

    @property
    def frames(self) -> list[str]:
        """The modules around it from the root inwards."""
        return [_NO_MODULE] if self.tag is None else namespace(self.tag).split("/")


class _Frames(msgspec.Struct, frozen=True):
    """The names that the events of a speedscope file refer to by number."""

    frames: list[dict[str, str]]


class _Speedscope(msgspec.Struct, frozen=True):
    """A speedscope file, with the keys of its format."""

    name: str
    shared: _Frames
    profiles: list[dict[str, Any]]
    schema: str = msgspec.field(
        name="$schema", default="https://www.speedscope.app/file-format-schema.json"
    )


class TimeSpan(NamedTuple):
    """A piece of time with a name. A span contains all later spans that begin before its end.

    Attributes:
        name: Of a module or a node.
        start, end: In microseconds.
        thread: Number of the thread.
        node: The layer, for the span of a node; None for a module.
    """

    name: str
    start: float
    end: float
    thread: int
    node: ChargedLayer | None = None


def write_profile_files(
    profile: Profile,
    layers: Sequence[ChargedLayer],
    files: ProfileFiles,
    optimised: "OptimisedFile | None" = None,
    *,
    force: bool,
) -> None:
    """Write the files that are requested.

    Args:
        profile: The profile.
        layers: Its layers, in the order of execution.
        files: The requested files.
        optimised: The optimised form, where that is one of them.
        force: Overwrite existing files.

    Raises:
        FileProblem: A file cannot be written.
    """
    writers: list[tuple[Path | None, Callable[[], str]]] = [
        (files.trace, lambda: json.dumps(chrome_trace(layers))),
        (files.speedscope, lambda: json.dumps(speedscope(profile, layers))),
        (files.folded_stacks, lambda: folded_stacks(layers)),
        (files.node_data, lambda: json.dumps(node_data(profile, layers))),
    ]
    with ExitStack() as stack:  # all of them appear, or none
        for target, text in writers:
            if target is not None:
                part = stack.enter_context(atomic_replacement(target, force=force))
                with attribute_errors_to(part):
                    part.write_text(text())
        if optimised is not None and files.save_optimised is not None:
            optimised.save(files.save_optimised, force=force)


def nested_spans(layers: Sequence[ChargedLayer]) -> list[TimeSpan]:
    """The spans of one run: those of modules contain those of the modules and nodes inside them.

    A module has a span for each period in which only its nodes ran. Where a
    profile has no starting times, each layer begins when the one before it ends.
    """
    by_thread: dict[int, list[tuple[Slice, ChargedLayer]]] = {}
    for execution, layer in _executions(layers):
        by_thread.setdefault(execution.thread, []).append((execution, layer))
    spans: list[TimeSpan] = []
    for thread, executions in by_thread.items():
        executions.sort(key=lambda pair: (pair[0].start, pair[0].duration))
        spans += _nested(thread, executions)
    return spans


def _nested(thread: int, executions: Sequence[tuple[Slice, ChargedLayer]]) -> list[TimeSpan]:
    opened: list[tuple[str, int]] = []  # name and position in `spans`
    spans: list[TimeSpan] = []
    last_end = 0.0
    for execution, layer in executions:
        start, end = execution.start, execution.start + execution.duration
        frames = layer.frames
        common = 0
        while common < min(len(opened), len(frames)) and opened[common][0] == frames[common]:
            common += 1
        for _, position in opened[common:]:
            spans[position] = spans[position]._replace(end=last_end)
        del opened[common:]
        for name in frames[common:]:
            opened.append((name, len(spans)))
            spans.append(TimeSpan(name, start, start, thread))
        last_end = max(last_end, end)
        spans.append(TimeSpan(layer.layer.name, start, end, thread, layer))
    for _, position in opened:
        spans[position] = spans[position]._replace(end=last_end)
    return spans


def _executions(layers: Sequence[ChargedLayer]) -> Iterator[tuple[Slice, ChargedLayer]]:
    if any(layer.layer.slices for layer in layers):
        yield from ((slice_, layer) for layer in layers for slice_ in layer.layer.slices)
        return
    start = 0.0
    for layer in layers:
        duration = layer.layer.time
        yield Slice(start, duration, 0), layer
        start += duration


def chrome_trace(layers: Sequence[ChargedLayer]) -> dict[str, Any]:
    """Trace events as Chrome and Perfetto read them: times in microseconds, slices nest."""
    events = [
        {
            "name": span.name,
            "cat": "module" if span.node is None else "node",
            "ph": "X",
            "ts": span.start,
            "dur": span.end - span.start,
            "pid": 1,
            "tid": span.thread,
            "args": {} if span.node is None else _arguments(span.node),
        }
        for span in nested_spans(layers)
    ]
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _arguments(layer: ChargedLayer) -> dict[str, str]:
    return {"operator": layer.layer.op_type, "module": layer.tag or _NO_MODULE}


def speedscope(profile: Profile, layers: Sequence[ChargedLayer]) -> dict[str, Any]:
    """One run as speedscope reads it: a frame opens and closes for each span."""
    frames: dict[str, int] = {}
    profiles = []
    spans = nested_spans(layers)
    for thread in sorted({span.thread for span in spans}):
        events: list[dict[str, Any]] = []
        opened: list[TimeSpan] = []
        for span in (span for span in spans if span.thread == thread):
            while opened and _is_after(span, opened):
                events.append(_event("C", frames, opened.pop()))
            events.append(_event("O", frames, span))
            opened.append(span)
        events += [_event("C", frames, span) for span in reversed(opened)]
        profiles.append(
            {
                "type": "evented",
                "name": f"thread {thread}",
                "unit": "microseconds" if profile.unit == "us" else "none",
                "startValue": min(event["at"] for event in events),
                "endValue": max(event["at"] for event in events),
                "events": events,
            }
        )
    table = _Frames([{"name": name} for name in frames])
    document: dict[str, Any] = msgspec.to_builtins(_Speedscope(profile.file, table, profiles))
    return document


def _is_after(span: TimeSpan, opened: Sequence[TimeSpan]) -> bool:
    """Whether the innermost open span ends before a span begins; nodes contain nothing."""
    last = opened[-1]
    if last.node is not None or span.start > last.end:
        return True
    return span.start == last.end > last.start


def _event(kind: str, frames: dict[str, int], span: TimeSpan) -> dict[str, Any]:
    frame = frames.setdefault(span.name, len(frames))
    return {"type": kind, "frame": frame, "at": span.start if kind == "O" else span.end}


def folded_stacks(layers: Sequence[ChargedLayer]) -> str:
    """A line for each layer: its modules and its name, then its time."""
    return "".join(
        f"{';'.join(_frame(name) for name in [*layer.frames, layer.layer.name])} "
        f"{round(layer.layer.time)}\n"
        for layer in layers
    )


def _frame(name: str) -> str:
    """A name without the characters that separate frames."""
    return name.replace(";", ",").replace("\n", " ")


def node_data(profile: Profile, layers: Sequence[ChargedLayer]) -> dict[str, Any]:
    """The time of each node by its name, as Model Explorer reads it.

    The time of a layer of several nodes is shown at the first of them.
    """
    times: dict[str, float] = {}
    for layer in layers:
        for name in layer.nodes[:1]:
            times[name] = times.get(name, 0.0) + layer.layer.time
    return {
        "name": f"time in {profile.unit}, {profile.runtime}",
        "results": {name: {"value": time} for name, time in times.items()},
        "gradient": [{"stop": 0, "bgColor": _COLD}, {"stop": 1, "bgColor": _HOT}],
    }
