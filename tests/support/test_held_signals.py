"""Signals wait for the end of a step that must not be left half done."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelexport.cli.signals import StoppedBySignal, signals_as_errors
from modelexport.support import part_folders
from modelexport.support.held_signals import held_signals
from modelexport.support.part_folders import make_part_folder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPPED = (KeyboardInterrupt, StoppedBySignal)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    with signals_as_errors():
        yield


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_raised_behind_the_step(number: int) -> None:
    steps = []

    def run() -> None:
        with held_signals():
            os.kill(os.getpid(), number)
            steps.append("after the signal")
        steps.append("behind the step")

    with pytest.raises(STOPPED):
        run()
    assert steps == ["after the signal"]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", ["making", "body", "removing"])
def test_a_signal_leaves_no_folder(
    number: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while the folder is made, while it is used, or while it is removed."""
    sent = 0

    def send() -> None:
        nonlocal sent
        if not sent:
            sent += 1
            os.kill(os.getpid(), number)

    make, remove = part_folders._make_locked, shutil.rmtree

    def making(parent: Path) -> tuple[Path, int]:
        made = make(parent)
        send()
        return made

    def removing(folder: Path, **options: bool) -> None:
        send()
        remove(folder, **options)

    if place == "making":
        monkeypatch.setattr(part_folders, "_make_locked", making)
    if place == "removing":
        monkeypatch.setattr(part_folders.shutil, "rmtree", removing)

    def run() -> None:
        with make_part_folder(tmp_path):
            if place == "body":
                send()

    with pytest.raises(STOPPED):
        run()
    assert sent == 1
    assert not list(tmp_path.iterdir())
