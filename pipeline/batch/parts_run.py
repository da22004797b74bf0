"""What the steps of a job do with its model, where that is a folder of parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_files import PartFiles, file_of_role, part_files
from modelexport.hierarchy.record import read_record
from modelexport.pipeline.batch.job_run import JobRun, check_strict, check_valid
from modelexport.pipeline.batch.outcome import Counts
from modelexport.pipeline.batch.shared_traces import copy_trace

if TYPE_CHECKING:
    from modelexport.rewriter import AnnotateReport, Validation


class PartsRun(JobRun):
    """The state of a job with a folder of parts. Its paths are those of folders."""

    def add_external_weights(self) -> None:
        """Count the external weights of the plan's files among the inputs."""
        from modelexport.rewriter.container import OnnxContainer  # noqa: PLC0415 - onnx loads when needed

        for part in part_files(self.plain):
            with OnnxContainer.open(part.onnx) as container:
                files = {str(location.path) for location in container.external_files()}
            self.add_inputs(files)

    def trace(self, target: Path, record: Path) -> None:
        """Write the folder of plain files and their records."""
        if self.shared_trace is None:
            self._trace_parts(target)
        else:
            copy_trace(self.shared_trace, target, record)
        ops = [op for part in part_files(target) for op in read_record(part.record).ops]
        scoped = sum(op.module is not None for op in ops)
        self.counts = Counts(len(ops), scoped, len(ops) - scoped)
        self.plain, self.last = target, target

    def _trace_parts(self, target: Path) -> None:
        from modelexport.pipeline.parts.loaded_parts import load_parts  # noqa: PLC0415 - loads torch
        from modelexport.pipeline.parts.trace_parts import write_parts  # noqa: PLC0415 - likewise

        assert self.job.source is not None
        with self.opened.recording():
            parts = load_parts(self.job.source, self.job.trace, None)
        write_parts(parts, target, self.job.trace)

    def annotate(self, target: Path) -> None:
        """Write the folder of annotated files, and one report if the plan asks for it."""
        from modelexport.pipeline.parts.part_folder import write_each_part  # noqa: PLC0415 - loads onnx
        from modelexport.rewriter import annotate  # noqa: PLC0415 - likewise

        settings = self.job.annotate

        def annotate_part(part: PartFiles, file: Path) -> "AnnotateReport":
            return annotate(part.onnx, self._record_of(part), file, options=settings.options())

        reports = write_each_part(self.plain, target, annotate_part, force=False)
        if settings.report:
            path = self.scratch / self.job.file("report.json")
            path.write_bytes(msgspec.json.encode(reports))
        nodes = sum(report.nodes for report in reports.values())
        resolved = sum(report.resolved for report in reports.values())
        self.counts = Counts(nodes, resolved, nodes - resolved)
        self.last = target
        for role, report in reports.items() if settings.strict else ():
            check_strict(report, _name(role))

    def validate(self) -> None:
        """Check the files that were written last."""
        from modelexport.rewriter import validate  # noqa: PLC0415 - onnx loads when it is needed

        settings = self.job.validate
        is_compared = settings.reference and self.last != self.plain

        def check_part(part: PartFiles) -> "Validation":
            return validate(
                part.onnx,
                record=self._record_of(part),
                reference=file_of_role(self.plain, part.role) if is_compared else None,
                consistency=settings.consistency,
            )

        results = {part.role: check_part(part) for part in part_files(self.last)}
        nodes = sum(result.nodes for result in results.values())
        tagged = sum(result.tagged for result in results.values())
        self.counts = Counts(nodes, tagged, nodes - tagged)
        for role, result in results.items():
            check_valid(result, _name(role))

    def _record_of(self, part: PartFiles) -> Path | None:
        """The record of a part: that of the plan, or its own."""
        if self.job.record is None:
            return part.existing_record()
        return file_of_role(Path(self.job.record), part.role, record=True)


def _name(role: PartRole) -> str:
    return f"{role.words}: "
