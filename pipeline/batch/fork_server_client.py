"""The client of a fork server: starts it and hands jobs to it.

It runs in a Dask worker. The worker itself has no torch and no model, so that a job cannot harm it.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.messages import Event, Request, this_process
from modelexport.pipeline.batch.outcome import Outcome, State

_THREAD_VARIABLES = (
    *("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables that tell libraries how many threads they may start."""

_QUIET = {"ORT_DISABLE_TELEMETRY": "1"}
"""onnxruntime's telemetry sends data, and runs a thread, which a process that forks must not have.
A value that the user has set stays."""


class ForkServerClient:
    """One fork server, started when it is first needed and again after it died."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._exporters: list[str] = []

    def run(
        self, request: Request, exporters: list[str], log: str, on_step: Callable[[str], None]
    ) -> Outcome:
        """Do a job.

        Args:
            request: The job.
            exporters: The exporters that the server must have loaded.
            log: The file for the server's standard error.
            on_step: Called with each step that the job begins.
        """
        try:
            server = self._started(exporters, log, request.threads)
            assert server.stdin is not None
            server.stdin.write(msgspec.json.encode(request) + b"\n")
            server.stdin.flush()
            while (event := self._next_event(server)) is not None:
                if event.outcome is not None:
                    return event.outcome
                if event.step is not None:
                    on_step(event.step)
        except BrokenPipeError:
            pass  # the server died before it could read the request: see below
        self.stop()
        return Outcome(
            state=State.FAILED,
            error=f"the process that starts jobs ended ({Path(log).name} may tell why).",
            worker=this_process(),
        )

    def stop(self) -> None:
        """End the server, and with it the job that it runs."""
        server, self._server = self._server, None
        if server is not None and server.stdin is not None and server.stdout is not None:
            with suppress(BrokenPipeError):
                server.stdin.close()
            server.wait()
            server.stdout.close()

    def _started(self, exporters: list[str], log: str, threads: int) -> "subprocess.Popen[bytes]":
        """The running server, or a new one."""
        server = self._server
        if server is not None and server.poll() is None and self._exporters == exporters:
            return server
        self.stop()
        path = {"PYTHONPATH": os.pathsep.join(folder for folder in sys.path if folder)}
        limits = dict.fromkeys(_THREAD_VARIABLES, str(threads))
        with Path(log).open("ab") as errors:
            server = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "modelexport.pipeline.batch.fork_server", *exporters],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**_QUIET, **os.environ, **path, **limits, "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,  # Ctrl-C must not reach it: the run handles that
            )
        self._server, self._exporters = server, exporters
        return server

    @staticmethod
    def _next_event(server: "subprocess.Popen[bytes]") -> Event | None:
        """The server's next event; None when it has ended."""
        assert server.stdout is not None
        line = server.stdout.readline()
        return msgspec.json.decode(line, type=Event) if line else None
