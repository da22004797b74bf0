"""The messages between a run, its workers, the fork server of a worker, and a job's process.

run      --Task-->     worker      one per job, through Dask
worker   --Request-->  fork server one JSON line on its standard input
job      --Event-->    fork server --Event--> worker   steps, then the outcome
worker   --Answer-->   run         through Dask
"""

import os
import socket

import msgspec

from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.outcome import Outcome


class TracedFiles(msgspec.Struct, frozen=True):
    """The files of a trace that another job has made.

    Attributes:
        job: The job that made it. Its files have this job's name.
        folder: The folder of these files.
        inputs: Digests of the files it was made from, by path.
    """

    job: Job
    folder: str
    inputs: dict[str, str]


class Request(msgspec.Struct, frozen=True):
    """A job for the fork server.

    Attributes:
        job: The job.
        folder: The plan's folder, which becomes the job's working folder.
        scratch: A folder for this job only. Each try gets a new folder inside it.
        log: The file for the job's standard output and standard error.
        threads: How many threads the job may use.
        traced: The trace to use; None when the job traces itself, or does not need a trace.
    """

    job: Job
    folder: str
    scratch: str
    log: str
    threads: int
    traced: TracedFiles | None = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the fork server, or a job, reports. Exactly one field is set.

    Attributes:
        step: The job begins this step.
        outcome: The job has ended.
        ready: The fork server has loaded its libraries.
    """

    step: str | None = None
    outcome: Outcome | None = None
    ready: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What a worker sends back for a task.

    Attributes:
        outcome: How the job ended.
        scratch: The folder with the job's files.
        log: The id of the job whose log explains the outcome; None for this job's own log.
    """

    outcome: Outcome
    scratch: str
    log: str | None = None


class Task(msgspec.Struct, frozen=True):
    """What a worker is sent.

    Attributes:
        request: The job for the fork server.
        exporters: The exporters that the fork server loads before it forks.
        server_log: The file for the fork server's standard error.
        versions: Versions of the sender's packages. A worker with other versions refuses.
        host_threads: Threads of all workers by host. They share the cores of their host.
        topic: The Dask topic under which the worker reports steps.
    """

    request: Request
    exporters: list[str]
    server_log: str
    versions: dict[str, str]
    host_threads: dict[str, int]
    topic: str


def this_process() -> str:
    """This process as the summary names it: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"
