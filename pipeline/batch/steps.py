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
from modelexport.pipeline.batch.messages import Traced
from modelexport.pipeline.batch.outcome import Counts, Outcome, State, sentence
from modelexport.pipeline.batch.plan import Step
from modelexport.pipeline.batch.sharing import take
from modelexport.pipeline.batch.watching import Watch

if TYPE_CHECKING:
    from modelexport.rewriter import AnnotateReport
    from modelexport.tracer import Loaded

Tell = Callable[[str], None]
_APART = ".plain"
"""Folder of what is needed on the way and is no result."""


class FoundFaultsError(ModelExportError):
    """All steps were done, and what they made is not as it should be."""


def run_job(
    job: Job, scratch: Path, tell: Tell, worker: str = "", traced: Traced | None = None
) -> Outcome:
    """Do all steps of a job; never raises but to stop.

    The working folder is the plan's. Whatever the job writes goes into `scratch`, which the run
    moves to its place when the job is complete.

    Args:
        job: The job.
        scratch: A folder for its files.
        tell: Is told each step as it begins.
        worker: Who does it.
        traced: A trace that is taken in place of making one.
    """
    began = time.perf_counter()
    bench = _Bench(job, scratch, traced)
    state, error = State.DONE, None
    try:
        for step in job.steps:
            if traced is None or step is not Step.TRACE:
                tell(step)
            _STEPS[step](bench)
    except MemoryError:
        state, error = State.MEMORY, "there is no more memory."
    except FoundFaultsError as found:
        state, error = State.FAULTS, sentence(found)
    except Exception as failure:  # noqa: BLE001 - whatever a job does is the job's matter
        traceback.print_exc()
        state, error = State.FAILED, sentence(failure)
    shutil.rmtree(scratch / _APART, ignore_errors=True)
    files = {}
    if state.complete:
        files = {path.name: file_digest(path) for path in sorted(scratch.iterdir())}
    return Outcome(
        state=state,
        seconds=round(time.perf_counter() - began, 3),
        counts=bench.counts,
        files=files,
        inputs=bench.inputs(),
        error=error,
        worker=worker,
    )


class _Bench:
    """What the steps of one job hand on to each other."""

    def __init__(self, job: Job, scratch: Path, traced: Traced | None) -> None:
        self.job = job
        self.scratch = scratch
        self._traced = traced
        self.counts: Counts | None = None
        self.plain = Path(job.onnx) if job.onnx else scratch / job.file("onnx")
        self.record = Path(job.record) if job.record else None
        self.last = self.plain
        self._watch = Watch()
        named = [job.source, job.onnx, job.record, *job.inputs]
        self._inputs = digests((n for n in named if n and Path(n).exists()), Path())
        if traced is not None:  # what it was made from, also if that has changed since
            self._inputs |= traced.inputs

    def inputs(self) -> dict[str, str]:
        """Digests of what the job was made from: what its plan names, and what was opened."""
        found = self._watch.files(Path.cwd())
        inside = tuple(f"{name.rstrip('/')}/" for name in self._inputs)
        new = (f for f in found if f not in self._inputs and not f.startswith(inside))
        return self._inputs | digests(new, Path())

    def load(self) -> "Loaded":
        """The model of the job's source."""
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        options = self.job.trace
        assert self.job.source is not None
        with self._watch.on():
            return tracer.load_configured(
                self.job.source, options, trust_remote_code=options.trust_remote_code
            )

    def external(self) -> None:
        """Count the external weights of a file that was given among the inputs."""
        from modelexport.rewriter.container import OnnxContainer  # noqa: PLC0415 - onnx loads when needed

        with OnnxContainer.open(self.plain) as container:
            files = {str(found.path) for found in container.external_files()}
        self._inputs |= digests(files, Path())

    def trace(self, target: Path, record: Path) -> None:
        """Write the plain file and its record."""
        if self._traced is None:
            made = self._trace(target, record)
        else:
            take(self._traced, target, record)
            made = read_record(record)
        known = sum(op.module is not None for op in made.ops)
        self.counts = Counts(len(made.ops), known, len(made.ops) - known)
        self.plain, self.record, self.last = target, record, target

    def _trace(self, target: Path, record: Path) -> Record:
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        loaded, options = self.load(), self.job.trace
        return tracer.trace(
            loaded.model,
            loaded.inputs,
            target,
            record=record,
            **tracer.options_of(options),
            probe=options.probe,
            origin=loaded.origin,
        ).record

    def annotate(self, target: Path) -> None:
        """Write the annotated file, and the report if it is asked for."""
        from modelexport.rewriter import annotate  # noqa: PLC0415 - onnx loads here

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
            _refuse_open(report)


def _refuse_open(report: "AnnotateReport") -> None:
    if report.unresolved or report.contradicted:
        raise FoundFaultsError(
            f"annotate: {report.unresolved} nodes unresolved, {report.contradicted} contradicted."
        )


def _trace(bench: _Bench) -> None:
    job, scratch = bench.job, bench.scratch
    bench.trace(scratch / job.file("onnx"), scratch / job.file("trace.json"))


def _annotate(bench: _Bench) -> None:
    if bench.job.onnx:
        bench.external()
    bench.annotate(bench.scratch / bench.job.file("annotated.onnx"))


def _export(bench: _Bench) -> None:
    """Trace, and annotate what came of it, in one go: one file and its record."""
    job, scratch = bench.job, bench.scratch
    apart = scratch / _APART
    apart.mkdir()
    bench.trace(apart / job.file("onnx"), scratch / job.file("trace.json"))
    bench.annotate(scratch / job.file("onnx"))


def _validate(bench: _Bench) -> None:
    from modelexport.rewriter import validate  # noqa: PLC0415 - onnx loads when it is needed

    if bench.job.onnx:
        bench.external()
    options = bench.job.validate
    reference = bench.plain if options.reference and bench.last != bench.plain else None
    found = validate(
        bench.last, record=bench.record, reference=reference, consistency=options.consistency
    )
    bench.counts = Counts(found.nodes, found.tagged, found.nodes - found.tagged)
    if not found.good:
        first = found.faults[0]
        about = f"{first.node}: " if first.node else ""
        number = "1 fault" if len(found.faults) == 1 else f"{len(found.faults)} faults, the first"
        raise FoundFaultsError(f"validate: {number} ({first.check}: {about}{first.message}).")


_STEPS: dict[Step, Callable[[_Bench], None]] = {
    Step.TRACE: _trace,
    Step.ANNOTATE: _annotate,
    Step.EXPORT: _export,
    Step.VALIDATE: _validate,
}
