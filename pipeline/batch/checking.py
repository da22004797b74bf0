"""What can be known to fail before anything runs: sources, files, folders, names."""

import importlib.util
import sys
from collections.abc import Iterable
from contextlib import chdir
from pathlib import Path

from modelexport.errors import FileProblem, PlanError, SourceError
from modelexport.hierarchy.source_names import check_file, check_folder, factory_of
from modelexport.pipeline.batch.jobs import Job


def check_jobs(jobs: Iterable[Job], folder: Path, where: Path) -> None:
    """Refuse jobs whose sources are missing or that would write one file twice.

    Args:
        jobs: The jobs.
        folder: The plan's folder, from which its paths start.
        where: The plan's file, for messages.

    Raises:
        PlanError: With the job or the file it is about.
    """
    owners: dict[str, str] = {}
    for job in jobs:
        for name in [job.id, *job.outputs()]:
            if name in owners:
                raise PlanError(
                    f"{where}: two jobs would write {name}: {owners[name]} and "
                    f"{job.source or job.onnx}; give their models different names."
                )
            owners[name] = job.source or job.onnx or job.id
        try:
            with chdir(folder):
                _check_sources(job)
        except (SourceError, FileProblem) as error:
            raise PlanError(f"{where}: {job.id}: {error}") from error


def _check_sources(job: Job) -> None:
    for file in filter(None, (job.onnx, job.record)):
        check_file(file)
    for path in job.inputs:
        if not Path(path).exists():
            raise SourceError(f"{path}: there is no such file or folder.")
    if job.source is None:
        return
    factory = factory_of(job.source)
    if factory is None:
        check_folder(job.source)
    elif factory[0].endswith(".py"):
        check_file(factory[0])
    else:
        _check_package(factory[0])


def _check_package(module: str) -> None:
    """Refuse a module whose top package is not there; looking deeper would run its code."""
    top = module.partition(".")[0]
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = top in sys.modules or importlib.util.find_spec(top) is not None
    except (ValueError, ImportError):
        found = False
    finally:
        sys.path.remove(here)
    if not found:
        raise SourceError(f"{module}: there is no module called {top}.")
