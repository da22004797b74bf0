"""The steps of one job, done in this process."""

import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelexport.errors import ModelExportError
from modelexport.hierarchy.record import Record, read_record
from modelexport.pipeline.batch.digests import digests, file_digest
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import TracedFiles
from modelexport.pipeline.batch.opened_files import OpenedFiles
from modelexport.pipeline.batch.outcome import Counts, Outcome, State
from modelexport.pipeline.batch.plan import Step
from modelexport.pipeline.batch.shared_traces import copy_trace
from modelexport.support.error_texts import error_sentence

if TYPE_CHECKING:
    from modelexport.rewriter import AnnotateReport
    from modelexport.tracer import Loaded

_INTERMEDIATE = ".plain"
"""Folder of files that a later step needs and that are not results."""

_HINT = "its log tells where"


class FoundFaultsError(ModelExportError):
    """All steps were done, and a check found faults in the result."""


def run_job(
    job: Job,
    scratch: Path,
    on_step: Callable[[str], None],
    worker: str = "",
    traced: TracedFiles | None = None,
) -> Outcome:
    """Do all steps of a job. Raises only what stops the process.

    The working folder must be the plan's. The job writes into `scratch` only; the run moves these
    files to their places when the job is complete.

    Args:
        job: The job.
        scratch: A folder for the job's files.
        on_step: Called with each step as it begins.
        worker: Name of the process that does the job.
        traced: A trace to use; None to trace the model.
    """
    began = time.perf_counter()
    run = _JobRun(job, scratch, traced)
    state, error = State.DONE, None
    try:
        for step in job.steps:
            if traced is None or step is not Step.TRACE:
                on_step(step)
            _STEPS[step](run)
    except MemoryError:
        state, error = State.MEMORY, "there is no more memory."
    except FoundFaultsError as faults:
        state, error = State.FAULTS, error_sentence(faults, _HINT)
    except Exception as failure:  # noqa: BLE001 - a job may run any code of the user's
        traceback.print_exc()
        state, error = State.FAILED, error_sentence(failure, _HINT)
    shutil.rmtree(scratch / _INTERMEDIATE, ignore_errors=True)
    files = {}
    if state.complete:
        files = {path.name: file_digest(path) for path in sorted(scratch.iterdir())}
    return Outcome(
        state=state,
        seconds=round(time.perf_counter() - began, 3),
        counts=run.counts,
        files=files,
        inputs=run.inputs(),
        error=error,
        worker=worker,
    )


class _JobRun:
    """The state of a job between its steps.

    Attributes:
        job: The job.
        scratch: The folder for its files.
        plain: The plain file: traced, or given by the plan.
        record: The trace record, if there is one.
        last: The file that was written last.
        counts: Counts of nodes of the last file; None before the first one.
    """

    def __init__(self, job: Job, scratch: Path, traced: TracedFiles | None) -> None:
        self.job = job
        self.scratch = scratch
        self._traced = traced
        self.counts: Counts | None = None
        self.plain = Path(job.onnx) if job.onnx else scratch / job.file("onnx")
        self.record = Path(job.record) if job.record else None
        self.last = self.plain
        self._opened = OpenedFiles()
        named = [job.source, job.onnx, job.record, *job.inputs]
        self._inputs = digests((n for n in named if n and Path(n).exists()), Path())
        if traced is not None:  # these may have changed since the trace was made
            self._inputs |= traced.inputs

    def inputs(self) -> dict[str, str]:
        """Digests of the files that the plan names and of those that were opened."""
        folders = tuple(f"{name.rstrip('/')}/" for name in self._inputs)
        opened = self._opened.user_files(Path.cwd())
        new = (f for f in opened if f not in self._inputs and not f.startswith(folders))
        return self._inputs | digests(new, Path())

    def add_external_weights(self) -> None:
        """Count the external weights of the plan's file among the inputs."""
        from modelexport.rewriter.container import OnnxContainer  # noqa: PLC0415 - onnx loads when needed

        with OnnxContainer.open(self.plain) as container:
            files = {str(location.path) for location in container.external_files()}
        self._inputs |= digests(files, Path())

    def trace(self, target: Path, record: Path) -> None:
        """Write the plain file and its record."""
        if self._traced is None:
            traced_record = self._trace(target, record)
        else:
            copy_trace(self._traced, target, record)
            traced_record = read_record(record)
        scoped = sum(op.module is not None for op in traced_record.ops)
        nodes = len(traced_record.ops)
        self.counts = Counts(nodes, scoped, nodes - scoped)
        self.plain, self.record, self.last = target, record, target

    def _trace(self, target: Path, record: Path) -> Record:
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        loaded = self._load()
        return tracer.trace(
            loaded.model,
            loaded.inputs,
            target,
            record=record,
            **tracer.trace_arguments(self.job.trace, loaded.axes),
            origin=loaded.origin,
        ).record

    def _load(self) -> "Loaded":
        """The model of the job's source."""
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        assert self.job.source is not None
        with self._opened.recording():
            return tracer.load_from_config(self.job.source, self.job.trace)

    def annotate(self, target: Path) -> None:
        """Write the annotated file, and the report if the plan asks for it."""
        from modelexport.rewriter import annotate  # noqa: PLC0415 - onnx loads when it is needed

        settings = self.job.annotate
        report = annotate(
            self.plain,
            self.record,
            target,
            options=settings.options(),
            report=self.scratch / self.job.file("report.json") if settings.report else None,
        )
        self.counts = Counts(report.nodes, report.resolved, report.unresolved)
        self.last = target
        if settings.strict:
            _check_strict(report)

    def validate(self) -> None:
        """Check the file that was written last."""
        from modelexport.rewriter import validate  # noqa: PLC0415 - onnx loads when it is needed

        settings = self.job.validate
        compared = settings.reference and self.last != self.plain
        validation = validate(
            self.last,
            record=self.record,
            reference=self.plain if compared else None,
            consistency=settings.consistency,
        )
        nodes, tagged = validation.nodes, validation.tagged
        self.counts = Counts(nodes, tagged, nodes - tagged)
        if not validation.good:
            first, count = validation.faults[0], len(validation.faults)
            node = f"{first.node}: " if first.node else ""
            number = "1 fault" if count == 1 else f"{count} faults, the first"
            raise FoundFaultsError(f"validate: {number} ({first.check}: {node}{first.message}).")


def _check_strict(report: "AnnotateReport") -> None:
    if report.unresolved or report.contradicted:
        raise FoundFaultsError(
            f"annotate: {report.unresolved} nodes unresolved, {report.contradicted} contradicted."
        )


def _trace(run: _JobRun) -> None:
    run.trace(run.scratch / run.job.file("onnx"), run.scratch / run.job.file("trace.json"))


def _annotate(run: _JobRun) -> None:
    if run.job.onnx:
        run.add_external_weights()
    run.annotate(run.scratch / run.job.file("annotated.onnx"))


def _export(run: _JobRun) -> None:
    """Trace and annotate, and keep only the annotated file and the record."""
    folder = run.scratch / _INTERMEDIATE
    folder.mkdir()
    run.trace(folder / run.job.file("onnx"), run.scratch / run.job.file("trace.json"))
    run.annotate(run.scratch / run.job.file("onnx"))


def _validate(run: _JobRun) -> None:
    if run.job.onnx:
        run.add_external_weights()
    run.validate()


_STEPS: dict[Step, Callable[[_JobRun], None]] = {
    Step.TRACE: _trace,
    Step.ANNOTATE: _annotate,
    Step.EXPORT: _export,
    Step.VALIDATE: _validate,
}
