"""Several sessions as one profile, and the median of clocks that count whole units."""

from statistics import median

import pytest

from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, RecordedProfile
from modelexport.rewriter.profiling.sessions import join_sessions, split_runs


@pytest.mark.parametrize(("runs", "sessions"), [(30, 3), (10, 3), (2, 3), (1, 1), (7, 2)])
def test_runs_are_shared_by_sessions(runs: int, sessions: int) -> None:
    """All runs are done, no session is without one, and they differ by one at most."""
    shares = split_runs(runs, sessions)
    assert sum(shares) == runs
    assert len(shares) == min(runs, sessions)
    assert 0 < min(shares) <= max(shares) <= min(shares) + 1


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


def test_a_session_of_other_nodes_does_not_count() -> None:
    """Its times belong to another graph; a note says that it was left out."""
    joined = join_sessions([_profile(("a", 1.0)), _profile(("other", 2.0))])
    assert [layer.times for layer in joined.layers] == [(1.0,)]
    assert joined.runs == 1
    assert ["1 of 2 sessions" in note for note in joined.notes] == [True]


@pytest.mark.parametrize(
    "times", [(3.0, 3.0, 4.0, 4.0), (3.0,) * 5, (0.0, 0.0, 0.0), (2.0, 3.0, 3.0, 3.0, 9.0)]
)
def test_the_median_of_whole_numbers_lies_within_their_rounding(times: tuple[float, ...]) -> None:
    """A clock of whole units rounds each time by half a unit at most; no time is negative."""
    time = RecordedLayer("a", "Relu", times).time
    assert abs(time - median(times)) <= 0.5
    assert time >= 0


def test_whole_numbers_are_told_apart_by_how_often_they_occur() -> None:
    """More long times make a longer median, although the plain median is the same."""
    few, many = (3.0,) * 6 + (4.0,) * 1, (3.0,) * 4 + (4.0,) * 3
    assert median(few) == median(many)
    assert RecordedLayer("a", "R", few).time < RecordedLayer("a", "R", many).time


@pytest.mark.parametrize("times", [(1.5, 2.25, 8.0), (10.0, 20.0), (7.0, 30.0, 41.0, 90.0)])
def test_other_times_have_their_plain_median(times: tuple[float, ...]) -> None:
    """Fractions, and whole numbers that are far from each other."""
    assert RecordedLayer("a", "Relu", times).time == median(times)
