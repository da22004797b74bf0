"""One job in a process of its own: the fork server forks it, limits it and waits for it."""

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from modelexport.pipeline.batch.line_reader import LineReader
from modelexport.pipeline.batch.messages import Event, Request, this_process
from modelexport.pipeline.batch.outcome import Outcome, State

_POLL_SECONDS = 0.05
"""Seconds between two checks of a job's limits."""

_GRACE_SECONDS = 3.0
"""Seconds that a job has to clean up after it was told to end."""


class _StopJob(BaseException):
    """The job was told to end. Not an `Exception`, so that the job's code does not catch it."""


def send(channel: int, event: Event) -> None:
    """Write an event to a channel, as a JSON line."""
    os.write(channel, msgspec.json.encode(event) + b"\n")


def redirect(path: str, flags: int, *channels: int) -> None:
    """Make channels of this process lead to a file.

    Args:
        path: The file.
        flags: As for `os.open`.
        channels: File descriptors.
    """
    file = os.open(path, flags, 0o666)
    for channel in channels:
        os.dup2(file, channel)
    os.close(file)


class JobProcess:
    """One job in a process of its own.

    Args:
        request: The job.
        requests, events: The fork server's channels. The job's process closes them.
        lifeline: A pipe. Only the fork server has its writing end, as long as it lives.
    """

    def __init__(
        self, request: Request, requests: int, events: int, lifeline: tuple[int, int]
    ) -> None:
        self._request = request
        self._events = events
        self._began = time.monotonic()
        job_events, to_parent = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            for channel in (requests, events, job_events, lifeline[1]):
                os.close(channel)
            _child_main(request, to_parent, lifeline[0])
        os.close(to_parent)
        self._reader = LineReader(job_events)
        self._process = psutil.Process(self._pid)

    def run(self, requests: LineReader) -> Outcome | None:
        """Pass on the job's events until it ends.

        Args:
            requests: The fork server's requests. When they end, the job is ended, too.

        Returns:
            The outcome; None when the requests have ended.
        """
        outcome: Outcome | None = None
        while True:
            channels = [self._reader.channel, requests.channel]
            ready, _, _ = select.select(channels, [], [], _POLL_SECONDS)
            if requests.channel in ready and requests.ended():
                self._end()
                return None
            if self._reader.channel in ready:
                lines, ended = self._reader.read()
                for line in lines:
                    event = msgspec.json.decode(line, type=Event)
                    outcome = event.outcome or outcome
                    if event.outcome is None:
                        os.write(self._events, line + b"\n")
                if ended:
                    return self._reap(outcome)
            elif outcome is None and (exceeded := self._exceeded_limit()):
                self._end()
                return exceeded

    def _exceeded_limit(self) -> Outcome | None:
        """The outcome of a job that exceeds a limit; None when it exceeds none."""
        job = self._request.job
        if job.timeout is not None and time.monotonic() - self._began > job.timeout:
            return self._lost(State.TIMEOUT, f"took longer than {job.timeout:g} s and was ended.")
        if job.memory is not None and self._memory() > job.memory:
            allowed = f"{job.memory / 2**30:.4g} GiB"
            return self._lost(
                State.MEMORY, f"needed more than the allowed {allowed} of memory and was ended."
            )
        return None

    def _memory(self) -> int:
        """Resident memory of the job's process, in bytes; 0 when it has ended."""
        try:
            return int(self._process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def _reap(self, outcome: Outcome | None) -> Outcome:
        """Wait for the process, which is ending.

        Args:
            outcome: What the job reported; None if it ended without a report.
        """
        _, status = os.waitpid(self._pid, 0)
        if outcome is not None:
            return outcome
        number = -os.waitstatus_to_exitcode(status)
        if number == signal.SIGKILL:
            return self._lost(State.MEMORY, "was killed by the system: out of memory, most likely.")
        how = signal.Signals(number).name if number > 0 else f"exit code {-number}"
        return self._lost(State.FAILED, f"its process ended without a report ({how}).")

    def _lost(self, state: State, error: str) -> Outcome:
        """The outcome of a job whose process ended without a report."""
        seconds = round(time.monotonic() - self._began, 3)
        return Outcome(state=state, seconds=seconds, error=error, worker=this_process())

    def _end(self) -> None:
        """End the job and all processes that it started: first by SIGTERM, then by SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            time.sleep(_POLL_SECONDS / 5)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _child_main(request: Request, events: int, lifeline: int) -> None:
    """Do the job in the forked process. Never returns.

    Args:
        request: The job.
        events: Where its events go.
        lifeline: The reading end of the fork server's pipe.
    """
    code = 1
    try:
        os.setpgid(0, 0)
        redirect(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1, 2)
        signal.signal(signal.SIGTERM, _raise_stop)
        threading.Thread(target=_end_with_server, args=(lifeline,), daemon=True).start()
        _prefer_for_oom_kill()
        os.chdir(request.folder)
        _set_threads(request)
        from modelexport.pipeline.batch.steps import run_job  # noqa: PLC0415 - loads onnx

        outcome = run_job(
            request.job,
            Path(request.scratch),
            lambda step: send(events, Event(step=step)),
            this_process(),
            request.traced,
        )
        send(events, Event(outcome=outcome))
        code = 0
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with_server(lifeline: int) -> None:
    """End this process when the fork server has ended: nothing else would end it in time."""
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


def _raise_stop(*_: object) -> None:
    raise _StopJob


def _prefer_for_oom_kill() -> None:
    """When memory runs out, let the system kill this job and not its worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _set_threads(request: Request) -> None:
    if request.job.traces:
        from modelexport.tracer.preload import set_threads  # noqa: PLC0415 - the fork server has loaded it

        set_threads(request.threads)
