"""Settings of the whole process are left as they were found, whoever else uses them meanwhile."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from modelexport.support.threads import short_switch_interval


@pytest.fixture(params=[5e-3, 1e-4])
def actual(request: pytest.FixtureRequest) -> Iterator[float]:
    """How long turns are when we come."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def test_turns_are_short_until_the_last_one_leaves(actual: float) -> None:
    """Two that overlap, the first to come being the first to go; turns never get longer."""
    first, second = ExitStack(), ExitStack()
    first.enter_context(short_switch_interval())
    during = sys.getswitchinterval()
    assert during <= min(actual, 1e-3)
    second.enter_context(short_switch_interval())
    first.close()
    assert sys.getswitchinterval() == during
    second.close()
    assert sys.getswitchinterval() == actual


def test_turns_are_restored_after_an_error(actual: float) -> None:
    """Whatever went wrong inside."""
    with pytest.raises(ValueError, match="wrong"), short_switch_interval():
        raise ValueError("wrong")
    assert sys.getswitchinterval() == actual
