"""What the steps of a job do with its model, where that is one file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from modelexport.errors import ModelExportError
from modelexport.hierarchy.record import Record, read_record
from modelexport.pipeline.batch.digests import digests
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import TracedFiles
from modelexport.pipeline.batch.opened_files import OpenedFiles
from modelexport.pipeline.batch.outcome import Counts
from modelexport.pipeline.batch.shared_traces import copy_trace

if TYPE_CHECKING:
    from modelexport.rewriter import AnnotateReport, Validation
    from modelexport.tracer import Loaded


class FoundFaultsError(ModelExportError):
    """All steps were done, and a check found faults in the result."""


class JobRun:
    """The state of a job between its steps.

    Args:
        job: The job.
        scratch: The folder for its files.
        traced: A trace to use; None to trace the model.

    Attributes:
        job: The job.
        scratch: The folder for its files.
        plain: The plain file: traced, or given by the plan.
        record: The trace record, if there is one.
        last: The file that was written last.
        shared_trace: The trace to use; None if the job traces itself.
        opened: Records the files that are opened while the model is loaded.
        counts: Counts of nodes of the last file; None before the first one.
    """

    def __init__(self, job: Job, scratch: Path, traced: TracedFiles | None) -> None:
        self.job = job
        self.scratch = scratch
        self.shared_trace = traced
        self.counts: Counts | None = None
        self.plain = Path(job.onnx) if job.onnx else scratch / job.file("onnx")
        self.record = Path(job.record) if job.record else None
        self.last = self.plain
        self.opened = OpenedFiles()
        named = [job.source, job.onnx, job.record, *job.inputs]
        self._inputs = digests((n for n in named if n and Path(n).exists()), Path())
        if traced is not None:  # these may have changed since the trace was made
            self._inputs |= traced.inputs

    def inputs(self) -> dict[str, str]:
        """Digests of the files that the plan names and of those that were opened."""
        folders = tuple(f"{name.rstrip('/')}/" for name in self._inputs)
        opened = self.opened.user_files(Path.cwd())
        new = (f for f in opened if f not in self._inputs and not f.startswith(folders))
        return self._inputs | digests(new, Path())

    def add_external_weights(self) -> None:
        """Count the external weights of the plan's file among the inputs."""
        from modelexport.rewriter.container import OnnxContainer  # noqa: PLC0415 - onnx loads when needed

        with OnnxContainer.open(self.plain) as container:
            files = {str(location.path) for location in container.external_files()}
        self.add_inputs(files)

    def add_inputs(self, files: Iterable[str]) -> None:
        """Count files among the inputs."""
        self._inputs |= digests(files, Path())

    def trace(self, target: Path, record: Path) -> None:
        """Write the plain file and its record."""
        if self.shared_trace is None:
            traced_record = self._trace(target, record)
        else:
            copy_trace(self.shared_trace, target, record)
            traced_record = read_record(record)
        scoped = sum(op.module is not None for op in traced_record.ops)
        nodes = len(traced_record.ops)
        self.counts = Counts(nodes, scoped, nodes - scoped)
        self.plain, self.record, self.last = target, record, target

    def _trace(self, target: Path, record: Path) -> Record:
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        loaded = self._load()
        return tracer.trace_loaded(loaded, target, self.job.trace, record_path=record).record

    def _load(self) -> "Loaded":
        """The model of the job's source."""
        from modelexport import tracer  # noqa: PLC0415 - torch loads only where a model is traced

        assert self.job.source is not None
        with self.opened.recording():
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
            check_strict(report)

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
        check_valid(validation)


def check_valid(validation: "Validation", part: str = "") -> None:
    """Refuse a file with faults.

    Args:
        validation: What was found.
        part: What the file is called, if the job has several; with a space after it.

    Raises:
        FoundFaultsError: It has faults; the error tells the first.
    """
    if validation.good:
        return
    first, count = validation.faults[0], len(validation.faults)
    node = f"{first.node}: " if first.node else ""
    number = "1 fault" if count == 1 else f"{count} faults, the first"
    raise FoundFaultsError(f"validate: {part}{number} ({first.check}: {node}{first.message}).")


def check_strict(report: "AnnotateReport", part: str = "") -> None:
    """Refuse open nodes and contradictions.

    Args:
        report: What was decided.
        part: What the file is called, if the job has several; with a space after it.

    Raises:
        FoundFaultsError: There are such.
    """
    if report.unresolved or report.contradicted:
        raise FoundFaultsError(
            f"annotate: {part}{report.unresolved} nodes unresolved, "
            f"{report.contradicted} contradicted."
        )
