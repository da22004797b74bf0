"""Making the tasks that workers are sent: one for each job and each shared trace of a run."""

import uuid
from collections.abc import Iterable
from pathlib import Path

from modelexport.hierarchy.choices import Exporter
from modelexport.pipeline.batch.digests import versions
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.ledger import Ledger
from modelexport.pipeline.batch.messages import Request, Task, TracedFiles
from modelexport.support.real_paths import real_path


class TaskBuilder:
    """Makes the tasks of one run.

    Args:
        jobs: The jobs to do.
        folder: The plan's folder.
        ledger: Has the folders for work in progress.
        host_threads: Threads of all workers by host.

    Attributes:
        run: Id of this run.
        topic: The Dask topic under which the run's steps are reported.
    """

    def __init__(
        self, jobs: Iterable[Job], folder: Path, ledger: Ledger, host_threads: dict[str, int]
    ) -> None:
        self.run = uuid.uuid4().hex[:8]
        self.topic = f"modelexport-{self.run}"
        self._folder, self._ledger = folder, ledger
        self._exporters: list[str] = sorted(
            {job.trace.exporter or Exporter.AUTO for job in jobs if job.traces}
        )
        self._host_threads = host_threads

    def build(self, job: Job, traced: TracedFiles | None = None) -> Task:
        """The task of a job.

        Args:
            job: The job.
            traced: A trace that it can use; None if it traces itself.
        """
        logs = real_path(self._ledger.logs)
        return Task(
            request=Request(
                job,
                folder=str(self._folder),
                scratch=str(real_path(self._ledger.make_scratch(job, self.run))),
                log=str(logs / f"{job.id}.log"),
                threads=1,  # the worker knows how many
                traced=traced,
            ),
            exporters=self._exporters,
            server_log=str(logs / f"fork-server.{self.run}.log"),
            versions=versions(),
            host_threads=self._host_threads,
            topic=self.topic,
        )
