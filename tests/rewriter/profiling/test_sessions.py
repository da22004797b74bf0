"""Several sessions as one profile, and the time that stands for many."""

from dataclasses import replace
from statistics import fmean, median

import pytest

from modelexport.rewriter.profiling.recorded_profile import (
    RecordedLayer,
    RecordedProfile,
    Slice,
)
from modelexport.rewriter.profiling.sessions import (
    LEAST_RUNS,
    MEASURED_NODES,
    MEASURED_SECONDS,
    MOST_RUNS,
    MOST_SECONDS,
    affordable_sessions,
    choose_runs,
    join_sessions,
    split_runs,
)


@pytest.mark.parametrize(("runs", "sessions"), [(30, 3), (10, 3), (2, 3), (1, 1), (7, 2)])
def test_runs_are_shared_by_sessions(runs: int, sessions: int) -> None:
    """All runs are done, no session is without one, and they differ by one at most."""
    shares = split_runs(runs, sessions)
    assert sum(shares) == runs
    assert len(shares) == min(runs, sessions)
    assert 0 < min(shares) <= max(shares) <= min(shares) + 1


@pytest.mark.parametrize("seconds", [0.0, 1e-3, 0.19, 0.21, 0.5, 0.99, 1.01, 60.0])
def test_sessions_behind_the_first_take_little_time_to_prepare(seconds: float) -> None:
    """As many as are wanted and fit, and always the first."""
    number = affordable_sessions(seconds, 6)
    assert (number - 1) * seconds <= MOST_SECONDS
    assert number == 6 or number * seconds > MOST_SECONDS
    assert number >= 1


@pytest.mark.parametrize("nodes", [0, 5, 208, 209, 400, 20_000])
@pytest.mark.parametrize("seconds", [0.0, 1e-5, 0.0083, 0.0084, 0.02, 0.033, 0.034, 5.0])
def test_short_runs_of_small_files_are_measured_more_often(seconds: float, nodes: int) -> None:
    """As many as fit into a second, within limits."""
    runs = choose_runs(seconds, nodes)
    assert LEAST_RUNS <= runs <= MOST_RUNS
    if runs > LEAST_RUNS:
        assert runs * seconds <= MEASURED_SECONDS
        assert runs * nodes <= MEASURED_NODES
    if runs < MOST_RUNS:
        more = runs + 1
        assert more * seconds > MEASURED_SECONDS or more * nodes > MEASURED_NODES


def _profile(*layers: tuple[str, float], run: float = 9.0) -> RecordedProfile:
    recorded = tuple(RecordedLayer(name, "Relu", (time,)) for name, time in layers)
    return RecordedProfile("onnxruntime", recorded, 1, (run,))


def test_sessions_are_joined_by_node() -> None:
    """Each node has its times of all sessions, also where sessions list nodes in another order."""
    first, second = _profile(("a", 1.0), ("b", 5.0)), _profile(("b", 6.0), ("a", 2.0), run=8.0)
    joined = join_sessions([first, second])
    assert {layer.name: layer.times for layer in joined.layers} == {"a": (1, 2), "b": (5, 6)}
    assert (joined.runs, joined.run_times, joined.notes) == (2, (9.0, 8.0), ())


def test_nodes_of_one_name_are_counted() -> None:
    """Two nodes of one name stay two."""
    profile = _profile(("a", 1.0), ("a", 7.0))
    assert [layer.times for layer in join_sessions([profile, profile]).layers] == [(1, 1), (7, 7)]


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_the_run_that_is_shown_is_no_slow_one(slow: int) -> None:
    """The executions are those of one session; a run that was disturbed does not stand for all."""
    times = [90.0 if number == slow else 5.0 + number for number in range(3)]
    profiles = [_profile(("a", time)) for time in times]
    profiles = [
        replace(p, layers=tuple(replace(a, slices=(Slice(0, time, 1),)) for a in p.layers))
        for p, time in zip(profiles, times, strict=True)
    ]
    (layer,) = join_sessions(profiles).layers
    assert layer.sliced_time in times
    assert abs(layer.sliced_time - layer.time) == min(abs(time - layer.time) for time in times)
    assert layer.sliced_time < max(times)


def test_a_session_of_other_nodes_does_not_count() -> None:
    """Its times belong to another graph; a note says that it was left out."""
    joined = join_sessions([_profile(("a", 1.0)), _profile(("other", 2.0))])
    assert [layer.times for layer in joined.layers] == [(1.0,)]
    assert joined.runs == 1
    assert ["1 of 2 sessions" in note for note in joined.notes] == [True]


@pytest.mark.parametrize("slow", [4.0, 40.0, 4000.0])
def test_slow_runs_change_no_time(slow: float) -> None:
    """While up to half of the runs are slower, it does not matter how much."""
    quiet = (3.0, 1.0, 2.0)
    assert RecordedLayer("a", "Relu", (*quiet, *(slow,) * 3)).time == fmean(quiet)
    assert RecordedLayer("a", "Relu", (slow, *quiet[:2], slow)).time == fmean(quiet[:2])


def test_whole_numbers_are_told_apart_by_how_often_they_occur() -> None:
    """More long times make a longer time, although the medians are the same."""
    few, many = (3.0,) * 6 + (4.0,) * 1, (3.0,) * 3 + (4.0,) * 4
    assert RecordedLayer("a", "R", few).time < RecordedLayer("a", "R", many).time


@pytest.mark.parametrize("times", [(1.5,), (10.0, 20.0), (7.0, 90.0, 30.0)])
def test_a_time_is_never_below_the_fastest_run(times: tuple[float, ...]) -> None:
    """Nor above the median."""
    assert min(times) <= RecordedLayer("a", "Relu", times).time <= median(times)
    profile = RecordedProfile("r", (), len(times), times)
    assert profile.run_time == RecordedLayer("a", "Relu", times).time


@pytest.mark.parametrize("slow", [0.0, 5.0, 500.0])
def test_time_outside_of_nodes_is_that_of_each_run_by_itself(slow: float) -> None:
    """Nodes that were slow in one run each are no time outside; sums alone cannot tell."""
    layers = tuple(
        RecordedLayer(name, "Relu", tuple(2.0 + slow * (run == number) for run in range(4)))
        for number, name in enumerate("abcd")
    )
    profile = RecordedProfile("r", layers, 4, tuple(8.0 + slow + 3.0 for _ in range(4)))
    assert profile.outside_nodes == 3.0
    without_runs = replace(profile, layers=(RecordedLayer("a", "Relu", (2.0,)),))
    assert without_runs.outside_nodes == 9.0 + slow
    assert replace(profile, run_times=()).outside_nodes is None
