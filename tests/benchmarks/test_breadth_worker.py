"""Processes that work on rows beside each other, with limits."""

import os
import time
from collections.abc import Callable

import pytest

from breadth.cpu_limit import OutOfTimeError, cpu_limit
from breadth.row import Row
from breadth.worker import Limits, run_all

_LIMITS = Limits(seconds=1, gigabytes=4)


def _work(row: Row, write: Callable[[Row], None]) -> None:
    """Do what the name of the type says."""
    row.status = "ran"
    write(row)
    row.status = "judged"
    if row.model_type == "raises":
        raise ValueError("no")
    if row.model_type == "dies":
        os._exit(3)
    if row.model_type == "busy":
        while True:
            pass
    row.nodes = 7


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytest has threads of its own
def test_each_process_gives_its_row_whatever_happens_in_it() -> None:
    """A row says how far it came, also where its process failed, died or took too long."""
    names = ["good", "raises", "dies", "busy", "good too"]
    rows = {
        row.model_type: row for row in run_all(map(Row, names), _work, _LIMITS, jobs=3, budget=60)
    }
    assert set(rows) == set(names)
    assert [rows[n].nodes for n in names if n.startswith("good")] == [7, 7]
    assert (rows["dies"].status, "3" in rows["dies"].reason) == ("ran", True)
    assert "ValueError after judged: no" in rows["raises"].reason
    assert OutOfTimeError.__name__ in rows["busy"].reason


def test_no_process_starts_after_the_budget() -> None:
    """What is left then is for another run."""
    assert list(run_all([Row("late")], _work, _LIMITS, jobs=1, budget=0)) == []


def test_limits_of_processor_time_nest() -> None:
    """The inner limit ends its body alone, and leaves the outer one what is left of it."""
    passed = []
    with pytest.raises(OutOfTimeError), cpu_limit(0.2):  # noqa: PT012 - what follows the inner limit
        with pytest.raises(OutOfTimeError), cpu_limit(0.05):
            _compute(10)
        passed.append(True)
        _compute(10)
    assert passed
    _compute(0.05)  # no timer is left


def _compute(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
