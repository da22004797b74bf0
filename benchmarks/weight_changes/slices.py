"""Trials of many models and forms, in several processes."""

import heapq
import logging
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from modelexport.tracer.preload import preload
from weight_changes.subject import Subject
from weight_changes.trials import ChangeTrials, Trial

_SLICE = 5
"""Number of trials that a process does in a row."""


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        sources: The models.
        forms: The forms of each.
        seed: Of the changes.
        trials: Number of trials for each form of each model.
        rows: The file to which every trial adds a line.
        folder: Where files are written.
        deadline: Time (monotonic seconds) after which no trial begins.
    """

    sources: Sequence[str]
    forms: Sequence[str]
    seed: int
    trials: int
    rows: Path
    folder: Path
    deadline: float


_Case = tuple[str, str]
"""A model and a form."""


def run_slices(plan: Plan, jobs: int) -> Iterator[str]:
    """Run the trials, those of all cases equally far; give a line for each step that failed.

    Args:
        plan: What is run.
        jobs: Number of processes.
    """
    preload(("auto",))
    pending: list[tuple[int, _Case]] = []
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, context, initializer=_be_quiet) as pool:
        running: dict[Future[None], tuple[str, _Case | None]] = {
            pool.submit(_prepare, plan, source): (source, None) for source in plan.sources
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                source, case = running.pop(future)
                if (error := future.exception()) is not None:
                    yield f"{source}, {case}: {type(error).__name__}: {error}"
                elif case is None:
                    for form in plan.forms:
                        heapq.heappush(pending, (0, (source, form)))
            while pending and len(running) < 2 * jobs:
                start, case = heapq.heappop(pending)
                part = range(start, min(start + _SLICE, plan.trials))
                running[pool.submit(_run, plan, case, part)] = case[0], case
                if part.stop < plan.trials:
                    heapq.heappush(pending, (part.stop, case))


def _be_quiet() -> None:
    logging.disable(logging.WARNING)


def _prepare(plan: Plan, source: str) -> None:
    """Write the files of a model in all forms."""
    subject = Subject(source, plan.folder)
    subject.make_files()
    for form in plan.forms:
        subject.make_form(form)


@lru_cache(maxsize=4)
def _subject(source: str, folder: Path) -> Subject:
    return Subject(source, folder)


def _run(plan: Plan, case: _Case, part: range) -> None:
    """Run some trials, as many as there is time for."""
    source, form = case
    if time.monotonic() > plan.deadline:
        return
    trials = ChangeTrials(_subject(source, plan.folder), form)
    for index in part:
        if time.monotonic() > plan.deadline:
            return
        line = msgspec.json.encode(trials.run(plan.seed, index)) + b"\n"
        with plan.rows.open("ab", buffering=0) as file:
            file.write(line)


def read_rows(path: Path) -> list[Trial]:
    """The trials of a file, in the order of their numbers."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    trials = [msgspec.json.decode(line, type=Trial) for line in lines]
    return sorted(trials, key=lambda trial: (trial.model, trial.form, trial.seed, trial.index))
