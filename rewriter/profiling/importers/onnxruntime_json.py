"""The profile that onnxruntime writes: trace events in JSON.

The event of a Loop or If contains those of its subgraphs. Only events that contain no others
count, so that no time is counted twice.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from modelexport.rewriter.profiling.importers.onnxruntime_events import Event
from modelexport.rewriter.profiling.recorded_profile import (
    RecordedLayer,
    RecordedProfile,
    Slice,
    faster_half_mean,
    nearest_position,
)

_CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators of ONNX with subgraphs."""

_MOST_EVENTS = 1_000_000
"""Number of events after which onnxruntime stops recording."""


class _Kernel(NamedTuple):
    """Name, operator and number of a node: nodes of one name differ in their numbers."""

    name: str
    op_type: str
    number: str | int


def read_onnxruntime(events: Sequence[Event], warmup: int = 0) -> RecordedProfile:
    """Read the events of a profile.

    Args:
        events: The events.
        warmup: Number of runs at the beginning that do not count. Where there are no other runs,
            all count.
    """
    runs = [event for event in events if event.is_run]
    measured = runs[warmup:] or runs
    start = measured[0].ts if measured else float("-inf")
    executions = _leaves([event for event in events if event.ts >= start and event.is_kernel])
    # a profile without runs was cut off: all of it counts as one run
    by_run = _split_by_run(executions, measured) if measured else [executions]
    times_of = _times_by_kernel(by_run)
    reported = sum(map(faster_half_mean, times_of.values()))
    shown_run = nearest_position([sum(e.dur for e in run) for run in by_run], reported)
    slices: dict[_Kernel, list[Slice]] = {}
    providers: dict[_Kernel, str] = {}
    for execution in by_run[shown_run]:
        kernel = _kernel(execution)
        slice_ = Slice(execution.ts, execution.dur, execution.tid)
        slices.setdefault(kernel, []).append(slice_)
        providers[kernel] = execution.args.provider
    layers = tuple(
        RecordedLayer(
            name=kernel.name,
            op_type=kernel.op_type,
            times=times,
            slices=tuple(slices.get(kernel, ())),
            provider=providers.get(kernel, ""),
        )
        for kernel, times in times_of.items()
    )
    notes: tuple[str, ...] = ()
    if len(events) >= _MOST_EVENTS:
        notes = ("onnxruntime stopped recording at 1,000,000 events: use fewer runs",)
    return RecordedProfile(
        "onnxruntime", layers, len(by_run), tuple(run.dur for run in measured), notes=notes
    )


def _kernel(event: Event) -> _Kernel:
    return _Kernel(event.node, event.args.op_name, event.args.node_index)


def _leaves(executions: list[Event]) -> list[Event]:
    """Those that contain no others, in the order in which they began."""
    leaves: list[Event] = []
    last: dict[int, Event] = {}  # by thread
    for execution in sorted(executions, key=lambda event: (event.ts, -event.dur)):
        before = last.get(execution.tid)
        if before is not None and leaves[-1] is before and _contains(before, execution):
            leaves.pop()
        leaves.append(execution)
        last[execution.tid] = execution
    return leaves


def _contains(outer: Event, inner: Event) -> bool:
    if inner.end > outer.end:
        return False
    if outer.args.op_name in _CONTROL_FLOW:
        return True
    return inner.ts < outer.end and 0 < inner.dur < outer.dur


def _split_by_run(executions: list[Event], runs: list[Event]) -> list[list[Event]]:
    starts = [run.ts for run in runs]
    ends = [run.end for run in runs]
    by_run: list[list[Event]] = [[] for _ in runs]
    for execution in executions:
        number = bisect_right(starts, execution.ts) - 1
        if number >= 0 and execution.ts <= ends[number]:
            by_run[number].append(execution)
    return by_run


def _times_by_kernel(by_run: list[list[Event]]) -> dict[_Kernel, tuple[float, ...]]:
    """The time of each kernel in each run; 0 in a run in which it did not run."""
    times: dict[_Kernel, list[float]] = {}
    for number, executions in enumerate(by_run):
        for execution in executions:
            kernel = _kernel(execution)
            if kernel not in times:
                times[kernel] = [0.0] * len(by_run)
            times[kernel][number] += execution.dur
    return {kernel: tuple(values) for kernel, values in times.items()}
