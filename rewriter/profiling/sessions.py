"""The profiles of several sessions of one file as one profile."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from modelexport.rewriter.profiling.recorded_profile import (
    RecordedLayer,
    RecordedProfile,
    faster_half_mean,
    nearest_position,
)

MOST_SECONDS = 0.5
"""Seconds that sessions after the first may take to load the file and to warm up: a large file is
not loaded many times over for steadier times."""

LEAST_RUNS, MOST_RUNS = 30, 120
"""Number of runs that are measured where the user names none: the more, the shorter a run is."""
MEASURED_SECONDS = 1.0
"""Seconds of measured runs that are enough."""
MEASURED_NODES = 18_000
"""Measured executions of nodes that are enough: each takes microseconds to write and to read."""
SECONDS_OF_EXECUTION = 2e-5
"""Seconds that it takes to write and to read one of them."""


def choose_runs(seconds: float, nodes: int) -> int:
    """The number of runs to measure: those that take a second, within limits.

    Other work on the machine slows a few runs down. Among more runs, more are undisturbed.

    Args:
        seconds: Time that a run takes.
        nodes: Number of nodes of the file.

    >>> choose_runs(1.0, 100), choose_runs(0.02, 100), choose_runs(0.001, 100)
    (30, 50, 120)
    >>> choose_runs(0.001, 500), choose_runs(0.001, 5000)
    (36, 30)
    """
    most = min(MOST_RUNS, MEASURED_NODES // max(1, nodes))
    if seconds * most > MEASURED_SECONDS:
        most = int(MEASURED_SECONDS / seconds)
    return max(LEAST_RUNS, most)


def split_runs(runs: int, sessions: int) -> list[int]:
    """The number of runs in each session; no session is without a run.

    >>> split_runs(10, 3), split_runs(2, 3)
    ([4, 3, 3], [1, 1])
    """
    sessions = min(runs, sessions)
    return [runs // sessions + (number < runs % sessions) for number in range(sessions)]


def affordable_sessions(seconds: float, most: int) -> int:
    """The number of sessions: those after the first take half a second at most to prepare.

    Args:
        seconds: Time that one takes to load the file, to warm up, and to write and read what was
            recorded of that.
        most: Number of sessions that are wanted.

    >>> affordable_sessions(0.1, 6), affordable_sessions(0.4, 6), affordable_sessions(1.5, 6)
    (6, 2, 1)
    """
    return min(most, 1 + int(MOST_SECONDS / seconds)) if seconds > 0 else most


def join_sessions(profiles: Sequence[RecordedProfile]) -> RecordedProfile:
    """One profile that has the runs of all sessions.

    The starting times are those of the session whose shown run is nearest to the reported time.

    Args:
        profiles: A profile of each session, of the same file in the same runtime. A session that
            did not run the same layers as the first is left out, and a note says so.
    """
    first, *_ = profiles
    by_session = [_layers_by_key(profile) for profile in profiles]
    same = [n for n, layers in enumerate(by_session) if layers.keys() == by_session[0].keys()]
    times = {
        key: tuple(time for n in same for time in by_session[n][key].times) for key in by_session[0]
    }
    sliced = [sum(layer.sliced_time for layer in profiles[n].layers) for n in same]
    reported = sum(map(faster_half_mean, times.values()))
    shown = by_session[same[nearest_position(sliced, reported)]]
    layers = tuple(
        replace(layer, times=times[key], slices=shown[key].slices)
        for key, layer in by_session[0].items()
    )
    notes = dict.fromkeys(note for number in same for note in profiles[number].notes)
    if left_out := len(profiles) - len(same):
        notes[f"{left_out} of {len(profiles)} sessions ran other nodes, and do not count"] = None
    return replace(
        first,
        layers=layers,
        runs=sum(profiles[number].runs for number in same),
        run_times=tuple(time for number in same for time in profiles[number].run_times),
        notes=tuple(notes),
    )


def _layers_by_key(profile: RecordedProfile) -> dict[tuple[str, str, int], RecordedLayer]:
    """The layers by name and operator; several of one name are counted."""
    count: Counter[tuple[str, str]] = Counter()
    layers = {}
    for layer in profile.layers:
        name = layer.name, layer.op_type
        layers[*name, count[name]] = layer
        count[name] += 1
    return layers
