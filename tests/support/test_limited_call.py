"""Long calls into libraries: what they give, what stops them."""

import signal
import threading
from collections.abc import Callable

import pytest

from modelexport.support import limited_call as module
from modelexport.support.limited_call import CallLimitError, limited_call

Stop = threading.Event


def endless(stop: Stop) -> Callable[[], bool]:
    """A call that ends when it is asked to, and not before."""
    return lambda: stop.wait(60)


def test_results_and_errors_come_back() -> None:
    stop = Stop()
    assert limited_call(threading.current_thread, stop=stop.set) is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        limited_call(lambda: 1 / 0, stop=stop.set)
    with pytest.raises(TimeoutError):  # of the call, not of the time that it has
        limited_call(lambda: (_ for _ in ()).throw(TimeoutError), stop=stop.set, seconds=60)
    assert not stop.is_set()


def test_a_call_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_SECONDS", 0.01)
    stop = Stop()
    with pytest.raises(CallLimitError, match=r"more than 0\.02 s"):
        limited_call(endless(stop), stop=stop.set, seconds=0.02)
    assert stop.is_set()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_call_ends_when_it_takes_all_memory(
    monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """It may take what it needs while some is left, and a little in any case."""
    monkeypatch.setattr(module, "STEP_SECONDS", 0.01)
    monkeypatch.setattr(module, "LEAST_AVAILABLE", share)
    monkeypatch.setattr(module, "FREE_GROWTH", 1 << 24)
    stop = Stop()

    def take(size: int) -> bool:
        memory = bytearray(size)
        return bool(memory) and not stop.wait(0.2)

    assert limited_call(lambda: take(1 << 20), stop=stop.set)
    if share:
        with pytest.raises(CallLimitError, match="GB of memory"):
            limited_call(lambda: take(1 << 26), stop=stop.set)
    else:
        assert limited_call(lambda: take(1 << 26), stop=stop.set)
    assert stop.is_set() is bool(share)


def test_a_signal_ends_a_call() -> None:
    """The error of its handler comes out, and the call is asked to end."""
    stop = Stop()
    before = signal.signal(signal.SIGALRM, raise_interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(InterruptedError):
            limited_call(endless(stop), stop=stop.set)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert stop.is_set()


def raise_interrupt(*_: object) -> None:
    """A handler of a signal."""
    raise InterruptedError
