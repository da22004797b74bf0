"""The profile that onnxruntime writes: trace events in JSON.

The event of a Loop or If contains those of its subgraphs. Only events that contain no others
count, so that no time is counted twice.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, RecordedProfile, Slice

_SUFFIX = "_kernel_time"
_RUN = "model_run"
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators of ONNX with subgraphs."""

_MOST_EVENTS = 1_000_000
"""Number of events after which onnxruntime stops recording."""


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
    nodes = _leaves([event for event in events if _is_kernel(event)])
    # a profile without runs was cut off: all of it counts as one run
    by_run = _events_by_run(nodes, measured) if measured else [nodes]
    median_run = _median_run([float(run["dur"]) for run in measured]) if measured else 0
    keys = dict.fromkeys(_key(event) for run in by_run for event in run)
    sums = [_sums(run) for run in by_run]
    slices: dict[tuple[str, str, str], list[Slice]] = {}
    for event in by_run[median_run]:
        execution = Slice(float(event["ts"]), float(event["dur"]), int(event.get("tid", 0)))
        slices.setdefault(_key(event), []).append(execution)
    providers = {
        _key(event): str(event["args"].get("provider", "")) for event in by_run[median_run]
    }
    layers = tuple(
        RecordedLayer(
            name=key[0],
            op_type=key[1],
            times=tuple(run.get(key, 0.0) for run in sums),
            slices=tuple(slices.get(key, ())),
            provider=providers.get(key, ""),
        )
        for key in keys
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


def _key(event: dict[str, Any]) -> tuple[str, str, str]:
    """Name, operator and number of a node: nodes of one name differ in their numbers."""
    args = event.get("args", {})
    name = str(event["name"]).removesuffix(_SUFFIX)
    return name, str(args.get("op_name", "")), str(args.get("node_index", ""))


def _leaves(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that contain no others, in the order in which they began."""
    ordered = sorted(events, key=lambda event: (event["ts"], -event["dur"]))
    leaves: list[dict[str, Any]] = []
    last: dict[Any, dict[str, Any]] = {}  # by thread
    for event in ordered:
        before = last.get(event.get("tid"))
        if before is not None and _contains(before, event) and leaves[-1] is before:
            leaves.pop()
        leaves.append(event)
        last[event.get("tid")] = event
    return leaves


def _contains(outer: dict[str, Any], inner: dict[str, Any]) -> bool:
    ends = inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    if outer.get("args", {}).get("op_name") in _CONTROL_FLOW:
        return bool(ends)
    starts = inner["ts"] < outer["ts"] + outer["dur"]
    return bool(starts and ends and 0 < inner["dur"] < outer["dur"])


def _events_by_run(
    events: list[dict[str, Any]], runs: list[dict[str, Any]]
) -> list[list[dict[str, Any]]]:
    starts = [run["ts"] for run in runs]
    by_run: list[list[dict[str, Any]]] = [[] for _ in runs]
    for event in events:
        number = bisect_right(starts, event["ts"]) - 1
        if number >= 0 and event["ts"] <= runs[number]["ts"] + runs[number]["dur"]:
            by_run[number].append(event)
    return by_run


def _sums(events: list[dict[str, Any]]) -> dict[tuple[str, str, str], float]:
    sums: dict[tuple[str, str, str], float] = {}
    for event in events:
        sums[_key(event)] = sums.get(_key(event), 0.0) + float(event["dur"])
    return sums


def _median_run(times: list[float]) -> int:
    """Position of the run whose time is the median."""
    return sorted(range(len(times)), key=times.__getitem__)[len(times) // 2]
