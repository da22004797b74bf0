"""The summary of a run: `summary.json` for programs, `summary.md` for people."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.digests import versions
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.support.files import atomic_replacement
from modelexport.support.visible_text import markdown_cell


class Row(msgspec.Struct, frozen=True):
    """One job of the summary.

    Attributes:
        job: Its id.
        state: How it ended; `kept` when an earlier run had done it.
        seconds: How long it took; for a kept job, how long it took in the earlier run.
        files: The files that it wrote, relative to the folder of results.
        nodes, tagged, unresolved: Counts of the file that it wrote or checked last.
        error: What went wrong, in one sentence.
        reason: Why `--resume` did it again; None without `--resume`.
        worker: The process that did it.
        log: The file with the output of its process, relative to the folder of results. None
            for a job that ended well.
    """

    job: str
    state: State
    seconds: float = 0.0
    files: list[str] = []
    nodes: int | None = None
    tagged: int | None = None
    unresolved: int | None = None
    error: str | None = None
    reason: str | None = None
    worker: str | None = None
    log: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """The summary of a run.

    Attributes:
        plan: Name of the plan's file.
        out: Folder of the results, as the plan gives it.
        seconds: How long the run took.
        states: Number of jobs by state.
        versions: Versions of the packages that results depend on.
        jobs: A row for each job, in the plan's order.
    """

    plan: str
    out: str
    seconds: float
    states: dict[State, int]
    versions: dict[str, str]
    jobs: list[Row]

    @property
    def good(self) -> bool:
        """Whether every job ended well."""
        return all(row.state.good for row in self.jobs)


def row_of(
    job: str,
    outcome: Outcome,
    *,
    state: State | None = None,
    reason: str | None = None,
    log: str | None = None,
) -> Row:
    """The row of a job that has ended.

    Args:
        job: Its id.
        outcome: How it ended.
        state: A state in place of the outcome's.
        reason: Why it was done.
        log: The file with its output.
    """
    counts = outcome.counts
    return Row(
        job=job,
        state=state or outcome.state,
        seconds=outcome.seconds,
        files=list(outcome.files),
        nodes=None if counts is None else counts.nodes,
        tagged=None if counts is None else counts.tagged,
        unresolved=None if counts is None else counts.unresolved,
        error=outcome.error,
        reason=reason,
        worker=outcome.worker or None,
        log=log,
    )


def summarize_run(
    plan: str, out: str, jobs: list[Job], rows: Mapping[str, Row], seconds: float
) -> Summary:
    """Summarize a run. Jobs without a row were stopped.

    Args:
        plan: Name of the plan's file.
        out: Folder of the results, as the plan gives it.
        jobs: All jobs of the plan.
        rows: Rows of the jobs that have ended, by the jobs' ids.
        seconds: How long the run took.
    """
    stopped = Outcome(state=State.STOPPED, error="the run was stopped before it was done.")
    all_rows = [rows.get(job.id) or row_of(job.id, stopped) for job in jobs]
    return Summary(
        plan=plan,
        out=out,
        seconds=round(seconds, 3),
        states=dict(Counter(row.state for row in all_rows).most_common()),
        versions=versions(),
        jobs=all_rows,
    )


def markdown(summary: Summary) -> str:
    """The summary as a table: a line for each job, and a line for all."""
    lines = ["| job | state | seconds | files | nodes | tagged | unresolved | error |"]
    lines.append("|---|---|--:|---|--:|--:|--:|---|")
    for row in summary.jobs:
        files = dict.fromkeys(file.partition("/")[0] for file in row.files)
        cells = [row.job, row.state, f"{row.seconds:.1f}", ", ".join(files)]
        cells += ["" if n is None else str(n) for n in (row.nodes, row.tagged, row.unresolved)]
        cells.append(" ".join((row.error or "").split("\n")))
        lines.append(f"| {' | '.join(map(markdown_cell, cells))} |")
    states = ", ".join(f"{count} {state}" for state, count in summary.states.items())
    return "\n".join([*lines, "", f"{len(summary.jobs)} jobs in {summary.seconds:.1f} s: {states}"])


def write_summary(summary: Summary, out: Path) -> None:
    """Write `summary.json` and `summary.md` into the folder of results."""
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    with atomic_replacement(out / "summary.json", force=True) as part:
        part.write_bytes(text)
    with atomic_replacement(out / "summary.md", force=True) as part:
        part.write_text(markdown(summary) + "\n")
