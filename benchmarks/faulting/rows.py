"""Rows of the table: the trials of one fault and one command, made by several processes."""

import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from faulting.fault_table import FAULTS
from faulting.runs import run
from faulting.scenes import Scene, copy_folder, files_in
from faulting.trials import Bench, Trial

_TRIALS_OF_A_JOB = 25
_RUNS = 3
"""Runs without a fault: the first may load something, the others must write the same files."""


class RowId(NamedTuple):
    """Which trials a row shows.

    Attributes:
        fault: Name of the fault.
        scene: The command.
    """

    fault: str
    scene: Scene


@dataclass(frozen=True)
class Job:
    """Some trials of a row.

    Attributes:
        row: The row.
        trials: Their number.
        name: Name of the folder where they run; together with the seed it decides all moments.
    """

    row: RowId
    trials: int
    name: str


def jobs_of(rows: Sequence[RowId], trials: int) -> Iterator[Job]:
    """The jobs that make all trials.

    Args:
        rows: The rows.
        trials: Number of trials of each row.
    """
    for number, row in enumerate(rows):
        for start in range(0, trials, _TRIALS_OF_A_JOB):
            count = min(_TRIALS_OF_A_JOB, trials - start)
            yield Job(row, count, f"{number}.{start}")


def run_jobs(
    jobs: Sequence[Job], root: Path, seed: int, processes: int
) -> list["Future[list[Trial]]"]:
    """Run jobs in forked processes, which have everything loaded.

    Args:
        jobs: The jobs.
        root: A folder; `inputs` in it has what the commands read.
        seed: Decides the moments.
        processes: Number of processes.
    """
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        return [pool.submit(_run_job, job, root, seed) for job in jobs]


def row_lines(row: RowId, trials: Sequence[Trial]) -> Iterator[str]:
    """A row of the table, and the problems below it.

    Args:
        row: Which trials it shows.
        trials: All of them.
    """
    outcomes = ", ".join(f"{n} {o}" for o, n in Counter(t.outcome for t in trials).most_common())
    problems = Counter(trial.problem for trial in trials if trial.problem is not None)
    yield f"| {row.fault} | {row.scene.name} | {len(trials)} | {outcomes} | {problems.total()} |"
    for problem, count in problems.most_common(5):
        yield f"    {count} x {problem}"


def _run_job(job: Job, root: Path, seed: int) -> list[Trial]:
    folder = root / job.name
    folder.mkdir(mode=0o755)
    try:
        source = random.Random(f"{seed} {job.name}")  # noqa: S311 - no secret
        bench = _bench(job.row.scene, root / "inputs", folder / "work", source)
        return [FAULTS[job.row.fault](bench) for _ in range(job.trials)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bench(scene: Scene, inputs: Path, folder: Path, source: random.Random) -> Bench:
    """Run a command without faults: what it writes, and how long it takes.

    Raises:
        SystemExit: It fails, or does not write the same files each time.
    """
    written, seconds = [], []
    before = files_in(inputs)
    for _ in range(_RUNS):
        copy_folder(inputs, folder)
        ended = run(scene.arguments, folder)
        if ended.code:
            sys.exit(f"{scene.name} fails without a fault: {ended.err}")
        written.append({p: data for p, data in files_in(folder).items() if p not in before})
        seconds.append(ended.seconds)
    if written[-1] != written[-2]:
        sys.exit(f"{scene.name} does not write the same files each time")
    reference = replace(scene, reference=written[-1])
    return Bench(reference, inputs, folder, min(seconds), source)
