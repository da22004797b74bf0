"""The fork server: a process that has loaded all libraries once, and forks for each job.

Run as `python -m modelexport.pipeline.batch.fork_server EXPORTER...`. It reads requests from
standard input, one JSON line each, and writes events to standard output: `ready`, `step`, and one
`outcome` for each request. A job that hangs, uses too much memory or dies is ended or noticed here.
The next job and the worker are not affected. When standard input ends, the job and the fork server
end, too.

A fork takes milliseconds; loading torch and transformers takes seconds. A process that forks must
have no other threads, because a child gets the locks of all threads but only one of the threads.
Hence this process has one thread.
"""

import os
import signal
import sys
import threading
import traceback

import msgspec

from modelexport.pipeline.batch.job_process import JobProcess, redirect, send
from modelexport.pipeline.batch.line_reader import LineReader
from modelexport.pipeline.batch.messages import Event, Request


def main(exporters: list[str]) -> None:
    """Serve requests until standard input ends.

    Args:
        exporters: The exporters to load before the first request.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    requests, events = os.dup(0), os.dup(1)
    redirect(os.devnull, os.O_RDONLY, 0)
    os.dup2(2, 1)  # what libraries print while they load must not mix with the events
    _preload(exporters)
    send(events, Event(ready=True))
    reader = LineReader(requests)
    lifeline = os.pipe()
    while (line := reader.wait()) is not None:
        if threads := threading.enumerate()[1:]:
            sys.stderr.write(f"threads are running beside a fork: {threads}\n")
        request = msgspec.json.decode(line, type=Request)
        outcome = JobProcess(request, requests, events, lifeline).run(reader)
        if outcome is None:
            return
        send(events, Event(outcome=outcome))


def _preload(exporters: list[str]) -> None:
    """Load what jobs need, including what an exporter loads only when it runs."""
    try:
        from modelexport.pipeline.batch import steps  # noqa: F401, PLC0415 - what a job runs
        from modelexport.rewriter import annotate, validate  # noqa: F401, PLC0415 - likewise
        from modelexport.rewriter.execution.session import load_onnxruntime  # noqa: PLC0415 - heavy

        load_onnxruntime()
        if exporters:
            from modelexport.tracer.preload import preload  # noqa: PLC0415 - torch loads only where a model is traced

            preload(exporters)
    except Exception:  # noqa: BLE001 - the job that needs it fails with the same error and reports it
        traceback.print_exc()


if __name__ == "__main__":
    main(sys.argv[1:])
