"""Traces that several jobs need. Each is made once, as a task that these jobs wait for.

Combinations of a matrix often need the same trace and differ only in later steps. Each job copies
the shared trace under its own name, so that its files are the same as if it had traced.
"""

import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from modelexport.hierarchy.external_weights import external_weights_path
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import Answer, TracedFiles
from modelexport.pipeline.batch.outcome import Outcome
from modelexport.pipeline.batch.plan import Step

_SUFFIX = "~trace"
"""Ends the id of a shared trace. No other job has a tilde in its id."""


class SharedTraces:
    """Finds jobs of a run that need the same trace.

    Args:
        todo: The jobs to do.
        done: The jobs that are done and unchanged, with their outcomes.
        out: The folder with the files of the done jobs.

    Attributes:
        existing: Traces that done jobs left in their files, by the jobs to do that can use them.
        to_make: Traces that several jobs to do need, by these jobs.
    """

    def __init__(self, todo: Iterable[Job], done: Iterable[tuple[Job, Outcome]], out: Path) -> None:
        available = {
            _trace_key(job): TracedFiles(job, str(out), outcome.inputs)
            for job, outcome in done
            if Step.TRACE in job.steps
        }
        groups: dict[bytes, list[Job]] = {}
        for job in todo:
            if job.traces:
                groups.setdefault(_trace_key(job), []).append(job)
        self.existing: dict[str, TracedFiles] = {}
        self.to_make: dict[str, Job] = {}
        for key, group in groups.items():
            ids = [job.id for job in group]
            if key in available:
                self.existing |= dict.fromkeys(ids, available[key])
            elif len(group) > 1:
                self.to_make |= dict.fromkeys(ids, _trace_job(group[0]))
        self._waiting = Counter(trace.id for trace in self.to_make.values())

    def traces(self) -> list[Job]:
        """The traces to make, each once."""
        return list({trace.id: trace for trace in self.to_make.values()}.values())

    def shown_as(self, job: str) -> str:
        """The id under which progress is shown: of a shared trace the first job that needs it."""
        return job.removesuffix(_SUFFIX)

    def job_ended(self, job: Job) -> Job | None:
        """Note that a job has ended.

        Returns:
            The shared trace that no other job needs any more, if there is one.
        """
        trace = self.to_make.get(job.id)
        if trace is None:
            return None
        self._waiting[trace.id] -= 1
        return trace if not self._waiting[trace.id] else None


def _trace_key(job: Job) -> bytes:
    """Everything that a job's trace depends on, and its limits."""
    fields = [job.source, job.inputs, job.trace, job.timeout, job.memory, job.threads, job.parts]
    return msgspec.json.encode(fields, order="deterministic")


def _trace_job(job: Job) -> Job:
    """The trace of a job as a job of its own."""
    return Job(
        id=job.id + _SUFFIX,
        steps=(Step.TRACE,),
        source=job.source,
        inputs=job.inputs,
        trace=job.trace,
        timeout=job.timeout,
        memory=job.memory,
        threads=job.threads,
        parts=job.parts,
    )


def traced_files(trace: Job, answer: Answer) -> TracedFiles:
    """The files that a shared trace gives to the jobs that wait for it."""
    return TracedFiles(trace, answer.scratch, answer.outcome.inputs)


def failed_answer(trace: Job, answer: Answer) -> Answer:
    """The answer for a job whose shared trace has failed."""
    outcome = msgspec.structs.replace(
        answer.outcome,
        error=f"the trace that it shares with other jobs: {answer.outcome.error}",
        files={},
    )
    return Answer(outcome, "", log=trace.id)


def copy_trace(traced: TracedFiles, plain: Path, record: Path) -> None:
    """Copy the files of a trace to a job's own names.

    Args:
        traced: The files.
        plain: Where the plain file, or the folder of parts, goes.
        record: Where the record goes. Parts have theirs in their folder.
    """
    source = Path(traced.folder, traced.job.file("onnx"))
    if traced.job.parts:
        shutil.copytree(source, plain)
        return
    data = external_weights_path(source)
    if data.exists():
        data_target = external_weights_path(plain)
        shutil.copyfile(data, data_target)
        _copy_with_data_name(source, plain, data_target.name)
    else:
        shutil.copyfile(source, plain)
    shutil.copyfile(Path(traced.folder, traced.job.file("trace.json")), record)


def _copy_with_data_name(source: Path, target: Path, data: str) -> None:
    """Copy a model whose weights are in a separate file, and change the name of that file."""
    import onnx  # noqa: PLC0415 - only the largest models need it

    model = onnx.load(source, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data
    onnx.save(model, target)
