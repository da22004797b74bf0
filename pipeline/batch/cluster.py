"""Dask: the workers of a batch run, here or on a cluster, by one and the same path."""

import logging
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import msgspec

from modelexport.errors import UsageError
from modelexport.pipeline.batch.messages import Answer, Task
from modelexport.pipeline.batch.outcome import Outcome, State
from modelexport.pipeline.batch.sharing import traced, untraced

if TYPE_CHECKING:
    from distributed import Client

    from modelexport.pipeline.batch.jobs import Job

_PATIENCE = 10
"""Seconds within which a scheduler must answer and have a worker."""


Hear = Callable[[str, str], None]
"""Is told the job's id and what it does now."""


def _hush() -> None:
    """Keep Dask from logging: what matters is said of the job that it matters to."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def cores() -> int:
    """Cores of this machine that this process may use."""
    from dask.system import CPU_COUNT  # noqa: PLC0415 - it knows of containers, too

    return int(CPU_COUNT)


@contextmanager
def workers(count: int | None, address: str | None) -> Iterator["Client"]:
    """Connect to a cluster, or start workers on this machine: processes of one thread each.

    Raises:
        UsageError: No scheduler answers at the address, or it has no workers.
    """
    from distributed import Client, LocalCluster  # noqa: PLC0415 - half a second

    _hush()
    if address is not None:
        with _connected(Client, address) as client:
            yield client
        return
    # Ctrl-C reaches every process of the terminal. It is this one's to handle: workers inherit
    # what is blocked while they are started, and so do those that take a dead one's place.
    resource_tracker.ensure_running()  # starting it would unblock them
    with ExitStack() as stack:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # jobs are watched one by one, in processes of their own
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        yield client


@contextmanager
def _connected(kind: "type[Client]", address: str) -> Iterator["Client"]:
    try:
        where = "scheduler_file" if address.endswith(".json") else "address"
        client = kind(**{where: address}, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster {address}: no Dask scheduler answers there.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            raise UsageError(f"--cluster {address}: the scheduler has no workers.") from error
        yield client


def neighbours(client: "Client") -> dict[str, int]:
    """Threads of the cluster's workers by host."""
    found: dict[str, int] = {}
    for worker in client.scheduler_info(n_workers=-1)["workers"].values():
        found[worker["host"]] = found.get(worker["host"], 0) + worker["nthreads"]
    return found


def outcomes(
    client: "Client",
    tasks: list[Task],
    traces: dict[str, Task],
    topic: str,
    hear: Hear,
    stopping: Callable[[], None],
) -> Iterator[tuple["Job", Answer]]:
    """Have all tasks done; gives each job and what came of it as it ends.

    A worker that dies takes no job with it: Dask gives its jobs to others, a few times.

    Args:
        client: Of the cluster.
        tasks: What is to be done, in this order where it can be.
        traces: By jobs, the shared traces that must be done before these.
        topic: Under which steps are told.
        hear: Is told every step.
        stopping: Is told when the jobs under way are ended.
    """
    client.subscribe_topic(topic, lambda event: hear(*event[1]))
    running = _Running(client, tasks, traces)
    finished = False
    try:
        yield from running.ended()
        finished = True
    finally:
        if not finished:
            stopping()
            client.cancel(list(running.futures), force=True)
            client.run(_stop_all, on_error="ignore")
        client.unsubscribe_topic(topic)


class _Running:
    """Tasks under way: jobs, and the traces that some wait for.

    Attributes:
        futures: What was given to the cluster, and for what.
    """

    def __init__(self, client: "Client", tasks: list[Task], traces: dict[str, Task]) -> None:
        from distributed import as_completed  # noqa: PLC0415 - loaded already

        self._client = client
        self._run = uuid.uuid4().hex[:8]
        self._ended = as_completed(raise_errors=False)
        self._waiting: dict[str, list[tuple[int, Task]]] = {}
        self.futures: dict[Any, Task] = {}
        for place, task in enumerate(tasks):
            trace = traces.get(task.request.job.id)
            if trace is None:
                self._begin(place, task)
                continue
            waiting = self._waiting.setdefault(trace.request.job.id, [])
            waiting.append((place, task))
            if len(waiting) == 1:
                self._begin(place, trace)

    def _begin(self, place: int, task: Task) -> None:
        key = f"{task.request.job.id}-{self._run}"
        message = msgspec.json.encode(task)
        future = self._client.submit(work, message, key=key, pure=False, priority=-place)
        self.futures[future] = task
        self._ended.add(future)

    def ended(self) -> Iterator[tuple["Job", Answer]]:
        """Each job as it ends."""
        for future in self._ended:
            job, answer = self.futures[future].request.job, _answer(future)
            waiting = self._waiting.pop(job.id, None)
            if waiting is None:
                yield job, answer
            elif answer.outcome.state.complete:
                for place, task in waiting:
                    task.request.traced = traced(job, answer)
                    self._begin(place, task)
            else:
                for _, task in waiting:
                    yield task.request.job, untraced(job, answer)


def _answer(future: Any) -> Answer:
    if future.status == "finished":
        return msgspec.json.decode(future.result(), type=Answer)
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        why = "every worker that took it died; their logs may tell why."
    elif error is not None:
        why = " ".join(f"the worker failed ({type(error).__name__}: {error}).".split())
    else:
        why = "the connection to the cluster was lost."
    return _failed(why)


def _failed(why: str) -> Answer:
    return Answer(Outcome(state=State.FAILED, error=why), "")


def work(message: bytes) -> bytes:
    """Do one job; runs in a worker."""
    from distributed import get_worker  # noqa: PLC0415 - runs in a worker only

    from modelexport.pipeline.batch.digests import versions  # noqa: PLC0415
    from modelexport.pipeline.batch.fork_server_client import keeper  # noqa: PLC0415

    task = msgspec.json.decode(message, type=Task)
    worker = get_worker()
    job = task.request.job
    if task.versions != versions():
        return msgspec.json.encode(_other_versions(task.versions, versions()))
    # a worker that was lost may still write where its try wrote
    task.request.scratch = tempfile.mkdtemp(dir=task.request.scratch)
    share = cores() // max(task.neighbours.get(worker.host, 1), 1)
    task.request.threads = job.threads or max(share, 1)
    outcome = keeper().run(
        task.request,
        task.exporters,
        task.nursery_log,
        lambda step: worker.log_event(task.topic, [job.id, step]),
    )
    return msgspec.json.encode(Answer(outcome, task.request.scratch))


def _other_versions(wanted: dict[str, str], found: dict[str, str]) -> Answer:
    differing = [f"{n} {found[n]}, not {v}" for n, v in wanted.items() if found[n] != v]
    return _failed(f"its worker has other packages than this machine ({'; '.join(differing)}).")


def _stop_all() -> None:
    from modelexport.pipeline.batch.fork_server_client import stop_all  # noqa: PLC0415 - runs in a worker

    stop_all()
