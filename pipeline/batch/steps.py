"""The steps of one job, done in this process."""

import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from modelexport.pipeline.batch.digests import file_digest
from modelexport.pipeline.batch.job_run import FoundFaultsError, JobRun
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.messages import TracedFiles
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.pipeline.batch.parts_run import PartsRun
from modelexport.pipeline.batch.plan import Step
from modelexport.support.error_texts import error_sentence

_INTERMEDIATE = ".plain"
"""Folder of files that a later step needs and that are not results."""

_HINT = "its log tells where"


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
    run = (PartsRun if job.parts else JobRun)(job, scratch, traced)
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
        paths = [path for path in sorted(scratch.rglob("*")) if path.is_file()]
        files = {path.relative_to(scratch).as_posix(): file_digest(path) for path in paths}
    return Outcome(
        state=state,
        seconds=round(time.perf_counter() - began, 3),
        counts=run.counts,
        files=files,
        inputs=run.inputs(),
        error=error,
        worker=worker,
    )


def _trace(run: JobRun) -> None:
    run.trace(run.scratch / run.job.file("onnx"), run.scratch / run.job.file("trace.json"))


def _annotate(run: JobRun) -> None:
    if run.job.onnx:
        run.add_external_weights()
    run.annotate(run.scratch / run.job.file("annotated.onnx"))


def _export(run: JobRun) -> None:
    """Trace and annotate, and keep only the annotated file and the record."""
    folder = run.scratch / _INTERMEDIATE
    folder.mkdir()
    run.trace(folder / run.job.file("onnx"), run.scratch / run.job.file("trace.json"))
    run.annotate(run.scratch / run.job.file("onnx"))


def _validate(run: JobRun) -> None:
    if run.job.onnx:
        run.add_external_weights()
    run.validate()


_STEPS: dict[Step, Callable[[JobRun], None]] = {
    Step.TRACE: _trace,
    Step.ANNOTATE: _annotate,
    Step.EXPORT: _export,
    Step.VALIDATE: _validate,
}
