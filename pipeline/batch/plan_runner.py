"""Running a plan: leave alone what is done, do the rest, and summarize."""

import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from modelexport.errors import FileProblem, MissingExtraError, UsageError
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.ledger import FOLDER, Ledger
from modelexport.pipeline.batch.messages import Answer
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.pipeline.batch.plan_loader import LoadedPlan, load_plan
from modelexport.pipeline.batch.shared_traces import SharedTraces
from modelexport.pipeline.batch.summary import Row, Summary, row_of, summarize_run, write_summary
from modelexport.pipeline.batch.task_builder import TaskBuilder
from modelexport.pipeline.batch.watcher import SilentWatcher, Watcher
from modelexport.support.real_paths import real_path


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
        workers: Number of processes on this machine; by default one for each core.
        cluster: Address of a Dask scheduler to use instead. Its workers must see the plan's
            folder and the folder of results under the same paths.
        resume: Leave alone jobs that are done and of which nothing has changed.
        force: Overwrite files that no run of this plan wrote.
        watcher: Is told how the run goes.

    Returns:
        How each job ended. It is also written to `summary.json` and `summary.md`.

    Raises:
        PlanError: The plan is wrong.
        FileProblem: Results would overwrite other files, or cannot be written.
        UsageError: Options contradict each other, or no cluster answers.
        MissingExtraError: Dask is not installed, or torch where a model is to be traced.
        KeyboardInterrupt: The run was stopped. The summary is written.
    """
    if workers is not None and cluster is not None:
        raise UsageError("--workers cannot be used with --cluster, which has its own workers.")
    began = time.perf_counter()
    plan = load_plan(path)
    ledger = Ledger(plan.out, plan.folder)
    for job in plan.jobs:
        ledger.check_targets(job, resume=resume, force=force)
    with ledger.open():
        work = _divide(plan.jobs, ledger, resume=resume)
        rows = {row.job: row for row in work.kept_rows()}
        try:
            if work.todo:
                _check_extras(work.todo)
                jobs = _run_jobs(plan, ledger, work, watcher or SilentWatcher(), workers, cluster)
                with closing(jobs):
                    for row in jobs:
                        rows[row.job] = row
        except KeyboardInterrupt:
            _write_summary(plan, rows, began)
            raise
        return _write_summary(plan, rows, began)


@dataclass(frozen=True)
class _Work:
    """The jobs of a plan, divided into those to do and those that are done.

    Attributes:
        todo: The jobs to do.
        reasons: Why each of them must be done, by id; None without `--resume`.
        kept: The other jobs, with their outcomes of an earlier run.
    """

    todo: list[Job]
    reasons: dict[str, str | None]
    kept: list[tuple[Job, Outcome]]

    def kept_rows(self) -> Iterator[Row]:
        """The rows of the jobs that an earlier run had done."""
        for job, outcome in self.kept:
            yield row_of(job.id, outcome, state=State.KEPT)


def _divide(jobs: Iterable[Job], ledger: Ledger, *, resume: bool) -> _Work:
    """Find out which jobs must be done."""
    work = _Work([], {}, [])
    for job in jobs:
        reason = ledger.reason_to_do(job) if resume else None
        entry = ledger.entry(job) if resume and reason is None else None
        if entry is not None:
            work.kept.append((job, entry.outcome))
        else:
            work.todo.append(job)
            work.reasons[job.id] = reason
    return work


def _check_extras(jobs: Iterable[Job]) -> None:
    for name in ("distributed", "psutil"):
        if find_spec(name) is None:
            raise MissingExtraError(f"batch needs {name}: pip install 'modelexport[batch]'.")
    if any(job.traces for job in jobs) and find_spec("torch") is None:
        raise MissingExtraError("tracing needs torch: pip install 'modelexport[trace]'.")


def _run_jobs(
    plan: LoadedPlan,
    ledger: Ledger,
    work: _Work,
    watcher: Watcher,
    workers: int | None,
    address: str | None,
) -> Generator[Row, None, None]:
    """Run the jobs to do and move their files to their places.

    Args:
        plan: The plan.
        ledger: Of the folder of results.
        work: The jobs.
        watcher: Is told how the run goes.
        workers: Number of workers on this machine; None for one for each core.
        address: Address of a Dask scheduler to use instead.

    Yields:
        The row of each job as it ends.
    """
    from modelexport.pipeline.batch import cluster  # noqa: PLC0415 - not needed when all is done
    from modelexport.pipeline.batch.worker import cores  # noqa: PLC0415

    count = min(workers or cores(), len(work.todo))
    watcher.begin(len(work.todo), address or f"{count} workers")
    for row in work.kept_rows():
        watcher.end(row)
    shared = SharedTraces(work.todo, work.kept, real_path(plan.out))
    with cluster.connect(count, address) as client:
        builder = TaskBuilder(work.todo, plan.folder, ledger, cluster.threads_by_host(client))
        trace_tasks = {trace.id: builder.build(trace) for trace in shared.traces()}
        answers = cluster.run_tasks(
            client,
            [builder.build(job, shared.existing.get(job.id)) for job in work.todo],
            {job: trace_tasks[trace.id] for job, trace in shared.to_make.items()},
            builder.topic,
            lambda job, step: watcher.step(shared.shown_as(job), step),
            watcher.stopping,
        )
        with closing(answers):
            for job, answer in answers:
                row = _commit(job, answer, ledger, work.reasons[job.id])
                watcher.end(row)
                if (trace := shared.job_ended(job)) is not None:
                    ledger.discard_scratch(trace, builder.run)
                yield row


def _commit(job: Job, answer: Answer, ledger: Ledger, reason: str | None) -> Row:
    """Move a job's files to their places if it is complete.

    Returns:
        The job's row.
    """
    outcome = answer.outcome
    if outcome.state.complete:
        try:
            ledger.commit(job, outcome, Path(answer.scratch))
        except FileProblem as error:
            outcome = Outcome(state=State.FAILED, seconds=outcome.seconds, error=str(error))
    log = None if outcome.state.good else f"{FOLDER}/logs/{answer.log or job.id}.log"
    return row_of(job.id, outcome, reason=reason, log=log)


def _write_summary(plan: LoadedPlan, rows: Mapping[str, Row], began: float) -> Summary:
    seconds = time.perf_counter() - began
    summary = summarize_run(plan.path.name, plan.out_as_written, plan.jobs, rows, seconds)
    write_summary(summary, plan.out)
    return summary
