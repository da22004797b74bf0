"""The profile that onnxruntime writes: trace events in JSON.

The event of a Loop or If contains those of its subgraphs. Only events that contain no others
count, so that no time is counted twice.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, RecordedProfile, Slice

_SUFFIX = "_kernel_time"
_RUN = "model_run"
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators of ONNX with subgraphs."""

_MOST_EVENTS = 1_000_000
"""Number of events after which onnxruntime stops recording."""


class _Kernel(NamedTuple):
    """Name, operator and number of a node: nodes of one name differ in their numbers."""

    name: str
    op_type: str
    number: str


class _Execution(NamedTuple):
    """One execution of a kernel, in microseconds."""

    kernel: _Kernel
    start: float
    duration: float
    thread: int
    provider: str

    @property
    def end(self) -> float:
        """When it ended."""
        return self.start + self.duration


def is_onnxruntime(document: Any) -> bool:
    """Whether a JSON document is a profile of onnxruntime."""
    return isinstance(document, list) and any(
        isinstance(event, dict) and event.get("cat") == "Node" and "ts" in event
        for event in document
    )


def read_onnxruntime(events: Sequence[dict[str, Any]], warmup: int = 0) -> RecordedProfile:
    """Read the events of a profile.

    Args:
        events: The document.
        warmup: Number of runs at the beginning that do not count. Where there are no other runs,
            all count.
    """
    runs = [event for event in events if event.get("name") == _RUN]
    measured = runs[warmup:] or runs
    executions = _leaves([_execution(event) for event in events if _is_kernel(event)])
    # a profile without runs was cut off: all of it counts as one run
    by_run = _split_by_run(executions, measured) if measured else [executions]
    median_run = _median_run([float(run["dur"]) for run in measured]) if measured else 0
    slices: dict[_Kernel, list[Slice]] = {}
    providers: dict[_Kernel, str] = {}
    for execution in by_run[median_run]:
        times = Slice(execution.start, execution.duration, execution.thread)
        slices.setdefault(execution.kernel, []).append(times)
        providers[execution.kernel] = execution.provider
    layers = tuple(
        RecordedLayer(
            name=kernel.name,
            op_type=kernel.op_type,
            times=times,
            slices=tuple(slices.get(kernel, ())),
            provider=providers.get(kernel, ""),
        )
        for kernel, times in _times_by_kernel(by_run).items()
    )
    notes: tuple[str, ...] = ()
    if len(events) >= _MOST_EVENTS:
        notes = ("onnxruntime stopped recording at 1,000,000 events: use fewer runs",)
    return RecordedProfile(
        "onnxruntime", layers, len(by_run), tuple(float(run["dur"]) for run in measured),
        notes=notes,
    )  # fmt: skip


def _is_kernel(event: dict[str, Any]) -> bool:
    return event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX)


def _execution(event: dict[str, Any]) -> _Execution:
    arguments = event.get("args", {})
    kernel = _Kernel(
        str(event["name"]).removesuffix(_SUFFIX),
        str(arguments.get("op_name", "")),
        str(arguments.get("node_index", "")),
    )
    provider = str(arguments.get("provider", ""))
    thread = int(event.get("tid", 0))
    return _Execution(kernel, float(event["ts"]), float(event["dur"]), thread, provider)


def _leaves(executions: list[_Execution]) -> list[_Execution]:
    """Those that contain no others, in the order in which they began."""
    leaves: list[_Execution] = []
    last: dict[int, _Execution] = {}  # by thread
    for execution in sorted(executions, key=lambda e: (e.start, -e.duration)):
        before = last.get(execution.thread)
        if before is not None and leaves[-1] is before and _contains(before, execution):
            leaves.pop()
        leaves.append(execution)
        last[execution.thread] = execution
    return leaves


def _contains(outer: _Execution, inner: _Execution) -> bool:
    if inner.end > outer.end:
        return False
    if outer.kernel.op_type in _CONTROL_FLOW:
        return True
    return inner.start < outer.end and 0 < inner.duration < outer.duration


def _split_by_run(
    executions: list[_Execution], runs: list[dict[str, Any]]
) -> list[list[_Execution]]:
    starts = [run["ts"] for run in runs]
    ends = [run["ts"] + run["dur"] for run in runs]
    by_run: list[list[_Execution]] = [[] for _ in runs]
    for execution in executions:
        number = bisect_right(starts, execution.start) - 1
        if number >= 0 and execution.start <= ends[number]:
            by_run[number].append(execution)
    return by_run


def _times_by_kernel(by_run: list[list[_Execution]]) -> dict[_Kernel, tuple[float, ...]]:
    """The time of each kernel in each run; 0 in a run in which it did not run."""
    times: dict[_Kernel, list[float]] = {}
    for number, executions in enumerate(by_run):
        for execution in executions:
            if execution.kernel not in times:
                times[execution.kernel] = [0.0] * len(by_run)
            times[execution.kernel][number] += execution.duration
    return {kernel: tuple(values) for kernel, values in times.items()}


def _median_run(times: list[float]) -> int:
    """Position of the run whose time is the median."""
    return sorted(range(len(times)), key=times.__getitem__)[len(times) // 2]
