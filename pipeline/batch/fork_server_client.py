"""What runs in a Dask worker: it keeps a nursery warm and hands jobs to it.

Whatever a job does to its process, the worker goes on: it holds no torch and no model.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from modelexport.pipeline.batch.messages import Event, Request, this_process
from modelexport.pipeline.batch.outcome import Outcome, State

_SHARED = (
    *("MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
"""By which libraries are told how many threads they may start."""


class Keeper:
    """One nursery, started when it is first needed and again when it died."""

    def __init__(self) -> None:
        self._nursery: subprocess.Popen[bytes] | None = None
        self._exporters: list[str] = []

    def run(
        self, request: Request, exporters: list[str], nursery_log: str, tell: Callable[[str], None]
    ) -> Outcome:
        """Have a job done, and say each of its steps."""
        try:
            nursery = self._warm(exporters, nursery_log, request.threads)
            assert nursery.stdin is not None
            nursery.stdin.write(msgspec.json.encode(request) + b"\n")
            nursery.stdin.flush()
            while (event := self._heard(nursery)) is not None:
                if event.outcome is not None:
                    return event.outcome
                if event.step is not None:
                    tell(event.step)
        except BrokenPipeError:
            pass  # it died while we spoke to it: the same as when it says nothing
        self.stop()
        return Outcome(
            state=State.FAILED,
            error=f"the process that starts jobs ended ({Path(nursery_log).name} may tell why).",
            worker=this_process(),
        )

    def stop(self) -> None:
        """End the nursery, and with it the job that it runs."""
        nursery, self._nursery = self._nursery, None
        if nursery is not None and nursery.stdin is not None and nursery.stdout is not None:
            with suppress(BrokenPipeError):
                nursery.stdin.close()
            nursery.wait()
            nursery.stdout.close()

    def _warm(self, exporters: list[str], log: str, threads: int) -> "subprocess.Popen[bytes]":
        nursery = self._nursery
        if nursery is not None and nursery.poll() is None and self._exporters == exporters:
            return nursery
        self.stop()
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        limits = dict.fromkeys(_SHARED, str(threads))
        with Path(log).open("ab") as errors:
            nursery = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", "modelexport.pipeline.batch.fork_server", *exporters],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **paths, **limits, "TOKENIZERS_PARALLELISM": "false"},
                start_new_session=True,  # Ctrl-C is the run's to handle
            )
        self._nursery, self._exporters = nursery, exporters
        return nursery

    @staticmethod
    def _heard(nursery: "subprocess.Popen[bytes]") -> Event | None:
        assert nursery.stdout is not None
        line = nursery.stdout.readline()
        return msgspec.json.decode(line, type=Event) if line else None


_KEEPERS: dict[int, Keeper] = {}
"""By thread: each thread of a worker does one job at a time."""


def keeper() -> Keeper:
    """The one of this thread."""
    return _KEEPERS.setdefault(threading.get_ident(), Keeper())


def stop_all() -> None:
    """End whatever this worker does for us."""
    for each in list(_KEEPERS.values()):
        each.stop()
