"""What run, worker, nursery and job tell each other."""

import os
import socket

import msgspec

from modelexport.pipeline.batch.jobs import Job
from modelexport.pipeline.batch.outcome import Outcome


class Traced(msgspec.Struct, frozen=True):
    """A trace that is there already.

    Attributes:
        job: The job that made it, and that its files are called after.
        folder: Where they are.
        inputs: Digests of what it was made from, by path.
    """

    job: Job
    folder: str
    inputs: dict[str, str]


class Request(msgspec.Struct):
    """What the nursery is asked to do.

    Attributes:
        job: The job.
        folder: The plan's folder: the job's working folder.
        scratch: A folder of the job's own; each try writes into a new one within it.
        log: Where its output goes.
        threads: How many threads it may use.
        traced: The trace that the job takes; None to trace itself, if it traces.
    """

    job: Job
    folder: str
    scratch: str
    log: str
    threads: int
    traced: Traced | None = None


class Event(msgspec.Struct, omit_defaults=True):
    """What the nursery says.

    Attributes:
        step: The job began this step.
        outcome: The job ended.
        ready: The nursery is warm.
    """

    step: str | None = None
    outcome: Outcome | None = None
    ready: bool = False


class Answer(msgspec.Struct):
    """What a worker sends back.

    Attributes:
        outcome: How the job ended.
        scratch: The folder with its files.
        log: The job whose log tells more, where it is another one.
    """

    outcome: Outcome
    scratch: str
    log: str | None = None


class Task(msgspec.Struct):
    """What a worker is sent.

    Attributes:
        request: What the job's process is asked to do.
        exporters: What that process is warmed up with.
        nursery_log: Where the process that starts jobs writes what it has to say.
        versions: Of the sender's packages: a worker of others would give other results.
        neighbours: Threads of all workers by host: these share its cores.
        topic: Under which steps are told.
    """

    request: Request
    exporters: list[str]
    nursery_log: str
    versions: dict[str, str]
    neighbours: dict[str, int]
    topic: str


def this_process() -> str:
    """This process, as the summary names it."""
    return f"{socket.gethostname()}:{os.getpid()}"
