"""What workers are sent: a task for each job and each shared trace of a run."""

import uuid
from pathlib import Path

from modelexport.pipeline.batch.digests import versions
from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.ledger import Ledger
from modelexport.pipeline.batch.messages import Request, Task, Traced


class Tasks:
    """Makes the tasks of one run.

    Args:
        folder: The plan's.
        ledger: Has the places for what is under way.
        exporters: What processes that start jobs are warmed up with.
        neighbours: Threads of all workers by host.

    Attributes:
        run: Names this run.
        topic: Under which its steps are told.
    """

    def __init__(
        self, folder: Path, ledger: Ledger, exporters: list[str], neighbours: dict[str, int]
    ) -> None:
        self.run = uuid.uuid4().hex[:8]
        self.topic = f"modelexport-{self.run}"
        self._folder, self._ledger = folder, ledger
        self._exporters, self._neighbours = exporters, neighbours

    def task(self, job: Job, traced: Traced | None = None) -> Task:
        """The task of a job, which may take a trace that is there already."""
        logs = self._ledger.logs.resolve()
        return Task(
            request=Request(
                job,
                folder=str(self._folder),
                scratch=str(self._ledger.scratch(job, self.run).resolve()),
                log=str(logs / f"{job.id}.log"),
                threads=1,
                traced=traced,
            ),
            exporters=self._exporters,
            nursery_log=str(logs / f"nursery.{self.run}.log"),
            versions=versions(),
            neighbours=self._neighbours,
            topic=self.topic,
        )
