"""What runs in a Dask worker: it hands each task to a fork server, and answers the run."""

import tempfile
import threading

import msgspec

from modelexport.pipeline.batch.digests import versions
from modelexport.pipeline.batch.fork_server_client import ForkServerClient
from modelexport.pipeline.batch.messages import Answer, Task
from modelexport.pipeline.batch.outcome import Outcome, State

_FORK_SERVERS: dict[int, ForkServerClient] = {}
"""The fork server of each thread: a thread does one job at a time."""


def cores() -> int:
    """Number of cores of this machine that this process may use."""
    from dask.system import CPU_COUNT  # noqa: PLC0415 - it knows the limits of containers

    return int(CPU_COUNT)


def run_task(message: bytes) -> bytes:
    """Do one job.

    Args:
        message: A `Task` as JSON.

    Returns:
        An `Answer` as JSON.
    """
    from distributed import get_worker  # noqa: PLC0415 - loaded in a worker

    task = msgspec.json.decode(message, type=Task)
    worker = get_worker()
    job = task.request.job
    if task.versions != versions():
        return msgspec.json.encode(_other_versions(task.versions, versions()))
    share = cores() // max(task.host_threads.get(worker.host, 1), 1)
    request = msgspec.structs.replace(
        task.request,
        # a lost worker may still write into the folder of its own try
        scratch=tempfile.mkdtemp(dir=task.request.scratch),
        threads=job.threads or max(share, 1),
    )
    outcome = _fork_server().run(
        request,
        task.exporters,
        task.server_log,
        lambda step: worker.log_event(task.topic, [job.id, step]),
    )
    return msgspec.json.encode(Answer(outcome, request.scratch))


def stop_fork_servers() -> None:
    """End the fork servers of this worker, and with them its jobs."""
    for server in list(_FORK_SERVERS.values()):
        server.stop()


def failure(reason: str) -> Answer:
    """The answer for a job that failed without an outcome of its own."""
    return Answer(Outcome(state=State.FAILED, error=reason), "")


def _fork_server() -> ForkServerClient:
    """The fork server of this thread."""
    return _FORK_SERVERS.setdefault(threading.get_ident(), ForkServerClient())


def _other_versions(sender: dict[str, str], own: dict[str, str]) -> Answer:
    """The answer of a worker whose packages differ from those of the sender."""
    differences = [f"{name} {own[name]}, not {v}" for name, v in sender.items() if own[name] != v]
    return failure(f"its worker has other packages than this machine ({'; '.join(differences)}).")
