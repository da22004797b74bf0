"""What a run came to: `summary.json`, and a table for people."""

from pathlib import Path

import msgspec

from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.support.files import atomic_replacement


class Row(msgspec.Struct):
    """One job.

    Attributes:
        job: Its id.
        state: How it ended; `kept` when an earlier run had done it.
        seconds: How long it took (then, if it is kept).
        files: What it wrote, in the folder of results.
        nodes, tagged, unresolved: Counts of the last file it wrote or looked at.
        error: What went wrong, in one sentence.
        reason: Why it was done, where `--resume` looked for that.
        worker: The process that did it.
        log: What its process printed, in the folder of results; where it did not go well.
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


class Summary(msgspec.Struct):
    """A run of a plan.

    Attributes:
        plan: Name of the plan's file.
        out: Folder of the results, as the plan gives it.
        seconds: How long the run took.
        states: How many jobs ended how.
        versions: Of the packages that results depend on.
        jobs: A row for each, in the plan's order.
    """

    plan: str
    out: str
    seconds: float
    states: dict[State, int]
    versions: dict[str, str]
    jobs: list[Row]

    @property
    def good(self) -> bool:
        """Whether every job is done."""
        return all(row.state.good for row in self.jobs)


def row_of(
    job: str, outcome: Outcome, state: State | None = None, reason: str | None = None
) -> Row:
    """A job's row."""
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
    )


def markdown(summary: Summary) -> str:
    """The table: a line for each job, and one for all."""
    lines = ["| job | state | seconds | files | nodes | tagged | unresolved | error |"]
    lines.append("|---|---|--:|---|--:|--:|--:|---|")
    for row in summary.jobs:
        cells = [row.job, row.state, f"{row.seconds:.1f}", ", ".join(row.files)]
        cells += ["" if n is None else str(n) for n in (row.nodes, row.tagged, row.unresolved)]
        cells.append((row.error or "").replace("|", "\\|").replace("\n", " "))
        lines.append(f"| {' | '.join(cells)} |")
    states = ", ".join(f"{count} {state}" for state, count in summary.states.items())
    return "\n".join([*lines, "", f"{len(summary.jobs)} jobs in {summary.seconds:.1f} s: {states}"])


def write(summary: Summary, out: Path) -> None:
    """Write `summary.json` and `summary.md` into the folder of results."""
    text = msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
    with atomic_replacement(out / "summary.json", force=True) as part:
        part.write_bytes(text)
    with atomic_replacement(out / "summary.md", force=True) as part:
        part.write_text(markdown(summary) + "\n")
