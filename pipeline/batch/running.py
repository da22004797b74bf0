"""Running a plan: check all of it, leave what is done, have the rest done, and sum it up."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from modelexport.errors import FileProblem, MissingExtraError, UsageError
from modelexport.pipeline.batch import summary as summaries
from modelexport.pipeline.batch.checking import check_jobs
from modelexport.pipeline.batch.digests import versions
from modelexport.pipeline.batch.jobs import Job, jobs_of
from modelexport.pipeline.batch.ledger import FOLDER, Ledger
from modelexport.pipeline.batch.messages import Answer
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.pipeline.batch.reading import read_plan
from modelexport.pipeline.batch.sharing import Sharing
from modelexport.pipeline.batch.summary import Row, Summary, row_of
from modelexport.pipeline.batch.tasks import Tasks


class Watcher(Protocol):
    """Who is told how a run goes; called from more than one thread."""

    def begin(self, total: int, workers: str) -> None:
        """The run begins, with so many jobs to do."""

    def step(self, job: str, step: str) -> None:
        """A job begins a step."""

    def end(self, row: Row) -> None:
        """A job has ended, or was done before."""

    def stopping(self) -> None:
        """The run is told to stop, and ends the jobs under way."""


class Silent:
    """Tells nobody."""

    def begin(self, total: int, workers: str) -> None:
        """Nothing."""

    def step(self, job: str, step: str) -> None:
        """Nothing."""

    def end(self, row: Row) -> None:
        """Nothing."""

    def stopping(self) -> None:
        """Nothing."""


@dataclass
class Batch:
    """A plan that has been looked at and can run.

    Attributes:
        path: The plan's file.
        jobs: What it comes to.
        folder: From where its paths start.
        out: Where results go.
        shown_out: The same, as the plan gives it.
    """

    path: Path
    jobs: list[Job]
    folder: Path
    out: Path
    shown_out: str
    rows: dict[str, Row] = field(default_factory=dict)


def load_plan(path: Path) -> Batch:
    """Read a plan and check all of it; nothing runs and nothing is written.

    Raises:
        PlanError: It does not follow the schema, sources are missing, or outputs collide.
    """
    plan, raw = read_plan(path)
    folder = path.resolve().parent
    jobs = jobs_of(plan, raw, path)
    check_jobs(jobs, folder, path)
    return Batch(path, jobs, folder, path.parent / plan.out, plan.out)


def run_plan(
    path: str | Path,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    resume: bool = False,
    force: bool = False,
    watcher: Watcher | None = None,
) -> Summary:
    """Run a plan.

    Args:
        path: The plan, a TOML file.
        workers: Processes on this machine; as many as it has cores, unless said.
        cluster: Address of a Dask scheduler to use instead. Its workers must see the plan's
            folder and the folder of results under the same paths.
        resume: Leave jobs alone that are done and of which nothing has changed.
        force: Overwrite files that no run of the plan wrote.
        watcher: Is told how it goes.

    Returns:
        What came of each job. Also written to `summary.json` and `summary.md`.

    Raises:
        PlanError: The plan is not good.
        FileProblem: Results would overwrite other files, or cannot be written.
        UsageError: Options contradict each other, or no cluster answers.
        MissingExtraError: Dask, or torch where something is to be traced, is missing.
        KeyboardInterrupt: The run was stopped; the summary is written.
    """
    if workers is not None and cluster is not None:
        raise UsageError("--workers are this machine's: --cluster brings its own.")
    began = time.perf_counter()
    batch = load_plan(Path(path))
    ledger = Ledger(batch.out, batch.folder)
    tell = watcher or Silent()
    for job in batch.jobs:
        ledger.check_targets(job, resume=resume, force=force)
    with ledger.open():
        reasons = _to_do(batch, ledger, resume=resume)
        todo = [job for job in batch.jobs if job.id in reasons]
        try:
            if todo:
                _check_extras(todo)
                _do(batch, ledger, todo, reasons, tell, workers, cluster)
        except KeyboardInterrupt:
            summaries.write(_summary(batch, time.perf_counter() - began), batch.out)
            raise
        made = _summary(batch, time.perf_counter() - began)
        summaries.write(made, batch.out)
    return made


def _to_do(batch: Batch, ledger: Ledger, *, resume: bool) -> dict[str, str | None]:
    """The jobs to do, and why; the others get their rows."""
    reasons: dict[str, str | None] = {}
    for job in batch.jobs:
        reason = ledger.reason_to_do(job) if resume else None
        if resume and reason is None:
            entry = ledger.entry(job)
            assert entry is not None
            batch.rows[job.id] = row_of(job.id, entry.outcome, State.FULL_PRECISION)
            continue
        reasons[job.id] = reason
    return reasons


def _check_extras(jobs: Iterable[Job]) -> None:
    for name in ("distributed", "psutil"):
        if find_spec(name) is None:
            raise MissingExtraError(f"batch needs {name}: pip install 'modelexport[batch]'.")
    if any(job.traces for job in jobs) and find_spec("torch") is None:
        raise MissingExtraError("tracing needs torch: pip install 'modelexport[trace]'.")


def _do(
    batch: Batch,
    ledger: Ledger,
    todo: list[Job],
    reasons: dict[str, str | None],
    tell: Watcher,
    count: int | None,
    address: str | None,
) -> None:
    """Have jobs done, and put what they made in its place."""
    from modelexport.pipeline.batch import cluster  # noqa: PLC0415 - not needed when all is done

    count = min(count or cluster.cores(), len(todo))
    tell.begin(len(todo), address or f"{count} workers")
    for kept in batch.rows.values():
        tell.end(kept)
    sharing = Sharing(todo, _kept(batch, ledger), batch.out.resolve())
    with cluster.workers(count, address) as client:
        make = Tasks(batch.folder, ledger, _exporters(todo), cluster.neighbours(client))
        shared = {trace.id: trace for trace in sharing.traces.values()}
        traces = {name: make.task(trace) for name, trace in shared.items()}
        ended = cluster.outcomes(
            client,
            [make.task(job, sharing.kept.get(job.id)) for job in todo],
            {job: traces[trace.id] for job, trace in sharing.traces.items()},
            make.topic,
            lambda job, step: tell.step(sharing.shown_as(job), step),
            tell.stopping,
        )
        for job, answer in ended:
            row = _put(job, answer, ledger)
            row.reason = reasons[job.id]
            batch.rows[job.id] = row
            tell.end(row)
            if (trace := sharing.over(job)) is not None:
                ledger.discard(trace, make.run)


def _kept(batch: Batch, ledger: Ledger) -> list[tuple[Job, Outcome]]:
    """The jobs that an earlier run did, and what came of them."""
    entries = ((job, ledger.entry(job)) for job in batch.jobs if job.id in batch.rows)
    return [(job, entry.outcome) for job, entry in entries if entry is not None]


def _exporters(jobs: Iterable[Job]) -> list[str]:
    """What a nursery is warmed up with: what the jobs use most likely."""
    return sorted({job.trace.exporter or "auto" for job in jobs if job.traces})


def _put(job: Job, answer: Answer, ledger: Ledger) -> Row:
    """Move a job's files to their places, if it is complete."""
    outcome = answer.outcome
    if outcome.state.complete:
        try:
            ledger.commit(job, outcome, Path(answer.scratch))
        except FileProblem as error:
            outcome = Outcome(state=State.FAILED, seconds=outcome.seconds, error=str(error))
    row = row_of(job.id, outcome)
    if not outcome.state.good:
        row.log = f"{FOLDER}/logs/{answer.log or job.id}.log"
    return row


def _summary(batch: Batch, seconds: float) -> Summary:
    stopped = Outcome(state=State.STOPPED, error="the run was stopped before it was done.")
    rows = [batch.rows.get(job.id) or row_of(job.id, stopped) for job in batch.jobs]
    states = Counter(row.state for row in rows)
    return Summary(
        plan=batch.path.name,
        out=batch.shown_out,
        seconds=round(seconds, 3),
        states=dict(states.most_common()),
        versions=versions(),
        jobs=rows,
    )
