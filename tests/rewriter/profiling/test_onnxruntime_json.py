"""Reading onnxruntime's profiles."""

from typing import Any

from modelexport.rewriter.profiling.importers.onnxruntime_events import events_of, is_onnxruntime
from modelexport.rewriter.profiling.importers.onnxruntime_json import read_onnxruntime
from modelexport.rewriter.profiling.recorded_profile import nearest_position


def _run(start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration, "tid": 1}


def _node(name: str, operator: str, start: int, duration: int) -> dict[str, Any]:
    args = {"op_name": operator, "node_index": "0", "provider": "CPU"}
    event = {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration}
    return event | {"tid": 1, "args": args}


def test_runs_are_told_apart_and_warmup_is_left_out() -> None:
    """Each layer has a time for each measured run, and each run has its own."""
    events = [
        event
        for number in range(4)
        for event in (
            _run(100 * number, 50 + number),
            _node("a", "Relu", 100 * number, 10 + number),
            _node("b", "Exp", 100 * number + 20, 5),
        )
    ]
    profile = read_onnxruntime(events_of(events), warmup=1)
    assert profile.run_times == (51.0, 52.0, 53.0)
    assert {layer.name: layer.times for layer in profile.layers} == {
        "a": (11.0, 12.0, 13.0),
        "b": (5.0, 5.0, 5.0),
    }
    totals = [sum(layer.times[run] for layer in profile.layers) for run in range(3)]
    start = 100.0 * (1 + nearest_position(totals, sum(layer.time for layer in profile.layers)))
    assert [layer.slices[0].start for layer in profile.layers] == [start, start + 20]


def test_only_what_a_loop_runs_counts() -> None:
    """The event of a loop contains those of its body, nested loops too; sums are of one run."""
    events = [
        _run(0, 100),
        _node("before", "Relu", 0, 10),
        _node("outer", "Loop", 10, 80),
        _node("body", "Exp", 12, 5),
        _node("inner", "If", 20, 30),
        _node("branch", "Tanh", 22, 7),
        _node("body", "Exp", 60, 6),
        _node("after", "Relu", 90, 0),
    ]
    times = {layer.name: layer.times for layer in read_onnxruntime(events_of(events)).layers}
    assert times == {"before": (10,), "body": (11,), "branch": (7,), "after": (0,)}


def test_the_format_is_recognised_by_its_content() -> None:
    """Events of nodes with times make a profile; other JSON does not."""
    assert is_onnxruntime([_run(0, 1), _node("a", "Relu", 0, 1)])
    assert not is_onnxruntime([{"count": 3}, {"name": "a", "timeMs": 1.0}])
    assert not is_onnxruntime({"Layers": []})
