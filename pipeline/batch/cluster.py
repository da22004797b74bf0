"""The Dask side of a run: its workers, on this machine or on a cluster, and its tasks."""

import logging
import signal
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import msgspec

from modelexport.errors import UsageError
from modelexport.pipeline.batch.messages import Answer, Task
from modelexport.pipeline.batch.shared_traces import failed_answer, traced_files
from modelexport.pipeline.batch.worker import failure, run_task, stop_fork_servers

if TYPE_CHECKING:
    from distributed import Client

    from modelexport.pipeline.batch.jobs import Job

_ANSWER_SECONDS = 10
"""Seconds within which a scheduler must answer and have a worker."""

OnStep = Callable[[str, str], None]
"""Called with a job's id and the step that it begins."""


@contextmanager
def connect(workers: int, address: str | None) -> Iterator["Client"]:
    """Connect to a cluster, or start workers on this machine: processes of one thread each.

    Args:
        workers: Number of workers to start.
        address: Address of a scheduler, or its scheduler.json, to use in place of own workers.

    Raises:
        UsageError: No scheduler answers at the address, or it has no workers.
    """
    from distributed import Client, LocalCluster  # noqa: PLC0415 - takes half a second

    _silence_dask()
    if address is not None:
        with _connect_to(Client, address) as client:
            yield client
        return
    # Ctrl-C reaches every process of the terminal, and this process must handle it. Workers
    # inherit the blocked signals while they are started, and so do those that replace a dead one.
    resource_tracker.ensure_running()  # starting it later would unblock the signals
    with ExitStack() as stack:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,  # the fork server limits each job's memory
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            client = stack.enter_context(Client(cluster))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield client


def _silence_dask() -> None:
    """Keep Dask from logging. What matters is reported for the job that it is about."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _connect_to(client_class: "type[Client]", address: str) -> Iterator["Client"]:
    try:
        keyword = "scheduler_file" if address.endswith(".json") else "address"
        client = client_class(**{keyword: address}, timeout=_ANSWER_SECONDS)
    except (OSError, ValueError) as error:
        raise UsageError(f"--cluster {address}: no Dask scheduler answers there.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_ANSWER_SECONDS)
        except TimeoutError as error:
            raise UsageError(f"--cluster {address}: the scheduler has no workers.") from error
        yield client


def threads_by_host(client: "Client") -> dict[str, int]:
    """Number of threads of the cluster's workers, by host."""
    threads: dict[str, int] = {}
    for worker in client.scheduler_info(n_workers=-1)["workers"].values():
        threads[worker["host"]] = threads.get(worker["host"], 0) + worker["nthreads"]
    return threads


def run_tasks(
    client: "Client",
    tasks: list[Task],
    traces: dict[str, Task],
    topic: str,
    on_step: OnStep,
    on_stop: Callable[[], None],
) -> Generator[tuple["Job", Answer], None, None]:
    """Run all tasks, and yield each job with its answer as it ends.

    When a worker dies, Dask gives its tasks to other workers, a few times.

    Args:
        client: Of the cluster.
        tasks: The tasks, in the order in which they should begin.
        traces: The shared traces that must be made before some jobs, by the ids of these jobs.
        topic: The topic under which workers report steps.
        on_step: Called at every step.
        on_stop: Called when the jobs in progress are ended early.
    """
    client.subscribe_topic(topic, lambda event: on_step(*event[1]))
    queue = _TaskQueue(client, tasks, traces)
    finished = False
    try:
        yield from queue.answers()
        finished = True
    finally:
        if not finished:
            on_stop()
            client.cancel(list(queue.tasks), force=True)
            client.run(stop_fork_servers, on_error="ignore")
        client.unsubscribe_topic(topic)


class _TaskQueue:
    """The submitted tasks, and the tasks that wait for a shared trace.

    Attributes:
        tasks: The submitted tasks by their future.
    """

    def __init__(self, client: "Client", tasks: list[Task], traces: dict[str, Task]) -> None:
        from distributed import as_completed  # noqa: PLC0415 - loaded by `connect`

        self._client = client
        self._run = uuid.uuid4().hex[:8]
        self._completed = as_completed(raise_errors=False)
        self._waiting: dict[str, list[tuple[int, Task]]] = {}
        self.tasks: dict[Any, Task] = {}
        for position, task in enumerate(tasks):
            trace = traces.get(task.request.job.id)
            if trace is None:
                self._submit(position, task)
                continue
            waiting = self._waiting.setdefault(trace.request.job.id, [])
            waiting.append((position, task))
            if len(waiting) == 1:
                self._submit(position, trace)

    def _submit(self, position: int, task: Task) -> None:
        key = f"{task.request.job.id}-{self._run}"
        message = msgspec.json.encode(task)
        future = self._client.submit(run_task, message, key=key, pure=False, priority=-position)
        self.tasks[future] = task
        self._completed.add(future)

    def answers(self) -> Iterator[tuple["Job", Answer]]:
        """Each job with its answer, as it ends. Shared traces are not among them."""
        for future in self._completed:
            job, answer = self.tasks[future].request.job, _answer(future)
            waiting = self._waiting.pop(job.id, None)
            if waiting is None:
                yield job, answer
            elif answer.outcome.state.complete:
                traced = traced_files(job, answer)
                for position, task in waiting:
                    request = msgspec.structs.replace(task.request, traced=traced)
                    self._submit(position, msgspec.structs.replace(task, request=request))
            else:
                for _, task in waiting:
                    yield task.request.job, failed_answer(job, answer)


def _answer(future: Any) -> Answer:
    """The worker's answer, or one that says why there is none."""
    if future.status == "finished":
        return msgspec.json.decode(future.result(), type=Answer)
    error = future.exception() if future.status == "error" else None
    if type(error).__name__ == "KilledWorker":
        return failure("every worker that took it died; their logs may tell why.")
    if error is not None:
        text = f"the worker failed ({type(error).__name__}: {error})."
        return failure(" ".join(text.split()))
    return failure("the connection to the cluster was lost.")
