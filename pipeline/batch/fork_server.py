"""The warm parent of jobs: a process that has loaded everything once and forks for each job.

Run as `python -m modelexport.pipeline.batch.fork_server EXPORTER...`. It reads requests, one JSON
line each, from standard input, and writes events to standard output: `ready`, `step`, and one
`outcome` for each request. A job that hangs, eats memory or dies is ended or noticed here, and
nothing else is hurt: not the next job, not the worker that asked. When standard input ends, so do
job and fork server.

A fork costs milliseconds where loading torch and transformers costs seconds. It needs a parent
whose libraries run no threads: hence one thread only until a job has begun.
"""

import os
import select
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from modelexport.pipeline.batch.lines import LineReader
from modelexport.pipeline.batch.messages import Event, Request, this_process
from modelexport.pipeline.batch.outcome import Outcome, State

_LOOK = 0.05
"""Seconds between looks at a job's memory."""

_GRACE = 3.0
"""Seconds that a job has to clean up when it is told to end."""


class _Stopped(BaseException):
    """The job was told to end; passes every `except Exception` on its way out."""


def main(exporters: list[str]) -> None:
    """Serve requests until standard input ends."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    requests, events = os.dup(0), os.dup(1)
    _point_at(os.devnull, os.O_RDONLY, 0)
    os.dup2(2, 1)  # what libraries print while they load is no event
    _warm(exporters)
    _say(events, Event(ready=True))
    reader = LineReader(requests)
    life = os.pipe()
    while (line := reader.wait()) is not None:
        if (beside := threading.enumerate()[1:]) != []:
            sys.stderr.write(f"a fork leaves threads behind: {beside}\n")
        request = msgspec.json.decode(line, type=Request)
        outcome = _Child(request, requests, events, life).watched(reader)
        if outcome is None:
            return
        _say(events, Event(outcome=outcome))


def _warm(exporters: list[str]) -> None:
    """Load what jobs will need: what an exporter loads only when it runs, too."""
    import modelexport.rewriter  # noqa: F401, PLC0415 - loading is the point

    try:
        if exporters:
            from modelexport.tracer.preload import warm  # noqa: PLC0415 - torch loads only where one traces

            warm(exporters)
    except Exception:  # noqa: BLE001 - the job that meets it again will tell it
        traceback.print_exc()


def _say(channel: int, event: Event) -> None:
    os.write(channel, msgspec.json.encode(event) + b"\n")


def _point_at(path: str, flags: int, *channels: int) -> None:
    """Let channels of this process lead to a file."""
    opened = os.open(path, flags, 0o666)
    for channel in channels:
        os.dup2(opened, channel)
    os.close(opened)


class _Child:
    """One job in a process of its own.

    Args:
        request: What to do.
        requests, events: The nursery's channels, which are not the job's to use.
        life: A pipe of which the nursery alone holds the end to write to, while it lives.
    """

    def __init__(self, request: Request, requests: int, events: int, life: tuple[int, int]) -> None:
        self._request = request
        self._events = events
        self._began = time.monotonic()
        told, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            for channel in (requests, events, told, life[1]):
                os.close(channel)
            _live(request, tell, life[0])
        os.close(tell)
        self._told = LineReader(told)
        self._process = psutil.Process(self._pid)

    def watched(self, reader: LineReader) -> Outcome | None:
        """Pass on what the job says until it ends; None when whoever asked is gone."""
        found: Outcome | None = None
        while True:
            ready, _, _ = select.select([self._told.channel, reader.channel], [], [], _LOOK)
            if reader.channel in ready and reader.ended():
                self._end()
                return None
            if self._told.channel in ready:
                lines, ended = self._told.read()
                for line in lines:
                    event = msgspec.json.decode(line, type=Event)
                    found = event.outcome or found
                    if event.outcome is None:
                        os.write(self._events, line + b"\n")
                if ended:
                    return self._buried(found)
            elif found is None and (early := self._beyond_limits()):
                self._end()
                return early

    def _beyond_limits(self) -> Outcome | None:
        job = self._request.job
        if job.timeout is not None and time.monotonic() - self._began > job.timeout:
            return self._lost(State.TIMEOUT, f"took longer than {job.timeout:g} s and was ended.")
        if job.memory is not None and self._held() > job.memory:
            allowed = f"{job.memory / 2**30:.4g} GiB"
            return self._lost(
                State.MEMORY, f"needed more than the allowed {allowed} of memory and was ended."
            )
        return None

    def _held(self) -> int:
        try:
            return int(self._process.memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def _buried(self, found: Outcome | None) -> Outcome:
        """The outcome of a job whose process has ended."""
        _, status = os.waitpid(self._pid, 0)
        if found is not None:
            return found
        number = -os.waitstatus_to_exitcode(status)
        if number == signal.SIGKILL:
            return self._lost(State.MEMORY, "was killed by the system: out of memory, most likely.")
        how = signal.Signals(number).name if number > 0 else f"exit code {-number}"
        return self._lost(State.FAILED, f"its process ended without a word ({how}).")

    def _lost(self, state: State, error: str) -> Outcome:
        seconds = round(time.monotonic() - self._began, 3)
        return Outcome(state=state, seconds=seconds, error=error, worker=this_process())

    def _end(self) -> None:
        """End the job and whatever it started: kindly first, then for certain."""
        with suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while time.monotonic() < until and os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            time.sleep(_LOOK / 5)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _live(request: Request, tell: int, life: int) -> None:
    """The life of a job's process; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        _point_at(request.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 1, 2)
        signal.signal(signal.SIGTERM, _stop)
        threading.Thread(target=_end_with, args=(life,), daemon=True).start()
        _first_to_go()
        os.chdir(request.folder)
        _use_threads(request)
        from modelexport.pipeline.batch.steps import run_job  # noqa: PLC0415 - loads onnx

        outcome = run_job(
            request.job,
            Path(request.scratch),
            lambda step: _say(tell, Event(step=step)),
            this_process(),
            request.traced,
        )
        _say(tell, Event(outcome=outcome))
        code = 0
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _end_with(life: int) -> None:
    """End this process when the nursery is no more: nobody is left to end it in time."""
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


def _stop(*_: object) -> None:
    raise _Stopped


def _first_to_go() -> None:
    """Let the system, when it runs out of memory, take the job and not its worker."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _use_threads(request: Request) -> None:
    if request.job.traces:
        from modelexport.tracer.preload import use_threads  # noqa: PLC0415 - loaded already

        use_threads(request.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
