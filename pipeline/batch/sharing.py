"""Traces that several jobs need: done once, as a task of its own, for which these jobs wait.

Cells of a matrix often differ in what is done with a trace, and not in the trace. Each job then
takes a copy under its own name, so that what it writes is what it would write alone.
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import Answer, Traced
from modelexport.pipeline.batch.outcome import Outcome
from modelexport.pipeline.batch.plan import Step

_MARK = "~trace"
"""Ends the id of a shared trace; no job has such a letter in its own."""


class Sharing:
    """Which of the jobs of a run trace alike.

    Args:
        todo: The jobs to do.
        done: The jobs that are done and unchanged, and what came of them.
        out: Where their files are.

    Attributes:
        kept: By jobs to do, the trace that a job that is done has left in its files.
        traces: By other jobs to do, the trace that more than one of them need.
    """

    def __init__(self, todo: Iterable[Job], done: Iterable[tuple[Job, Outcome]], out: Path) -> None:
        givers = {
            _trace_of(job): (job, outcome) for job, outcome in done if Step.TRACE in job.steps
        }
        groups: dict[bytes, list[Job]] = {}
        for job in todo:
            if job.traces:
                groups.setdefault(_trace_of(job), []).append(job)
        self.kept: dict[str, Traced] = {}
        self.traces: dict[str, Job] = {}
        for key, group in groups.items():
            if key in givers:
                job, outcome = givers[key]
                self.kept |= dict.fromkeys(
                    (each.id for each in group), Traced(job, str(out), outcome.inputs)
                )
            elif len(group) > 1:
                self.traces |= dict.fromkeys((each.id for each in group), _trace(group[0]))
        self._left = Counter(trace.id for trace in self.traces.values())

    def shown_as(self, job: str) -> str:
        """The job by whose name a task is shown: of a shared trace the first that needs it."""
        return job.removesuffix(_MARK)

    def over(self, job: Job) -> Job | None:
        """The shared trace that nobody needs any more when this job has ended, too."""
        trace = self.traces.get(job.id)
        if trace is None:
            return None
        self._left[trace.id] -= 1
        return trace if not self._left[trace.id] else None


def _trace_of(job: Job) -> bytes:
    """All that a job's trace depends on, and what bounds it."""
    told = [job.source, job.inputs, job.trace, job.timeout, job.memory, job.threads]
    return msgspec.json.encode(told, order="deterministic")


def _trace(job: Job) -> Job:
    """The trace of a job, as a job of its own."""
    return Job(
        id=job.id + _MARK,
        steps=(Step.TRACE,),
        source=job.source,
        inputs=job.inputs,
        trace=job.trace,
        timeout=job.timeout,
        memory=job.memory,
        threads=job.threads,
    )


def traced(trace: Job, answer: Answer) -> Traced:
    """What a shared trace gives to the jobs that wait for it."""
    return Traced(trace, answer.scratch, answer.outcome.inputs)


def untraced(trace: Job, answer: Answer) -> Answer:
    """What becomes of a job that waited for a trace in vain."""
    outcome = msgspec.structs.replace(
        answer.outcome,
        error=f"the trace that it shares with other jobs: {answer.outcome.error}",
        files={},
    )
    return Answer(outcome, "", log=trace.id)


def take(given: Traced, plain: Path, record: Path) -> None:
    """Copy a trace to the names of a job's own.

    Args:
        given: The trace.
        plain: Where the plain file goes.
        record: Where the record goes.
    """
    source = Path(given.folder, given.job.file("onnx"))
    data = source.with_name(f"{source.name}.data")
    if data.exists():
        beside = plain.with_name(f"{plain.name}.data")
        shutil.copyfile(data, beside)
        _copy_referring(source, plain, beside.name)
    else:
        shutil.copyfile(source, plain)
    shutil.copyfile(Path(given.folder, given.job.file("trace.json")), record)


def _copy_referring(source: Path, target: Path, data: str) -> None:
    """Copy a model whose weights are in a file beside it, which has another name there."""
    import onnx  # noqa: PLC0415 - for the largest models only

    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data
    onnx.save(model, target)
