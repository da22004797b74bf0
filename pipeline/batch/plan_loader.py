"""Loading a plan: read its file, split it into jobs, and check all of them before anything runs."""

import importlib.util
import sys
from collections.abc import Iterable
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from modelexport.errors import FileProblem, PlanError, SourceError
from modelexport.hierarchy.part_files import part_files
from modelexport.hierarchy.part_manifest import is_part_folder
from modelexport.hierarchy.source_names import (
    check_file,
    check_folder,
    is_program_file,
    is_script_file,
    parse_factory,
)
from modelexport.pipeline.batch.jobs import Job, jobs_of
from modelexport.pipeline.batch.plan import Plan
from modelexport.support.decode_errors import explain_decode_error
from modelexport.support.real_paths import real_path
from modelexport.support.settings import read_settings
from modelexport.support.stdio import input_name


@dataclass(frozen=True)
class LoadedPlan:
    """A plan that was checked and can run.

    Attributes:
        path: The plan's file.
        jobs: Its jobs.
        folder: The folder that its paths are relative to.
        out: The folder of results.
        out_as_written: The same, as the plan gives it.
    """

    path: Path
    jobs: list[Job]
    folder: Path
    out: Path
    out_as_written: str


def load_plan(path: str | Path) -> LoadedPlan:
    """Read a plan and check all of it. Nothing runs and nothing is written.

    Raises:
        PlanError: It does not follow the schema, sources are missing, or two jobs would write the
            same file.
    """
    path = Path(path)
    plan, raw = _read_plan(path)
    folder = real_path(path).parent
    jobs = jobs_of(plan, raw, input_name(path))
    _check_jobs(jobs, folder, input_name(path))
    return LoadedPlan(path, jobs, folder, path.parent / plan.out, plan.out)


def _read_plan(path: Path) -> tuple[Plan, dict[str, Any]]:
    """Read a plan.

    Returns:
        The plan, and the plan as it was written, to see which keys were left out.

    Raises:
        SettingsError: The file cannot be read.
        PlanError: The plan does not follow the schema.
    """
    raw = read_settings(path, dict[str, Any])
    try:
        return msgspec.convert(raw, Plan, str_keys=True), raw
    except msgspec.ValidationError as error:
        reason = explain_decode_error(error, type_=Plan, data=raw)
        raise PlanError(f"{input_name(path)}: {reason}.") from error


def _check_jobs(jobs: Iterable[Job], folder: Path, plan: str) -> None:
    """Refuse jobs whose sources are missing, and jobs that would write the same file.

    Args:
        jobs: The jobs.
        folder: The plan's folder, which its paths are relative to.
        plan: Name of the plan's file, for messages.

    Raises:
        PlanError: A job is refused. The message names the job or the file.
    """
    owners: dict[str, str] = {}
    for job in jobs:
        for name in [job.id, *job.outputs()]:
            if name in owners:
                raise PlanError(
                    f"{plan}: two jobs would write {name}: {owners[name]} and "
                    f"{job.source or job.onnx}; give their models different names."
                )
            owners[name] = job.source or job.onnx or job.id
        try:
            with chdir(folder):
                _check_sources(job)
        except (SourceError, FileProblem) as error:
            raise PlanError(f"{plan}: {job.id}: {error}") from error


def _check_sources(job: Job) -> None:
    for path in filter(None, (job.onnx, job.record)):
        if job.parts:
            part_files(Path(path))
        elif is_part_folder(Path(path)):
            raise SourceError(f"{path}: it is a folder of parts; say `parts = true`.")
        else:
            check_file(path)
    for path in job.inputs:
        if not Path(path).exists():
            raise SourceError(f"{path}: there is no such file or folder.")
    if job.source is None:
        return
    factory = parse_factory(job.source)
    if factory is None:
        if not (is_script_file(job.source) or is_program_file(job.source)):
            check_folder(job.source)
    elif factory[0].endswith(".py"):
        check_file(factory[0])
    else:
        _check_package(factory[0])


def _check_package(module: str) -> None:
    """Refuse a module whose top-level package is missing. Deeper checks would run its code."""
    package = module.partition(".")[0]
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        exists = package in sys.modules or importlib.util.find_spec(package) is not None
    except (ValueError, ImportError):
        exists = False
    finally:
        sys.path.remove(folder)
    if not exists:
        raise SourceError(f"{module}: there is no module called {package}.")
