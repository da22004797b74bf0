"""Loading ahead, for processes that fork, all that tracing otherwise loads when it first runs."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers  # noqa: F401 - it is loaded for the child processes

from modelexport.tracer.tracing import trace


def preload(exporters: Iterable[str]) -> None:
    """Trace a tiny model with each exporter, in one thread.

    A process that forks must have only one thread: a child process gets the locks of all threads,
    but not the threads that would release them.

    Args:
        exporters: Names of exporters.

    Raises:
        ModelExportError: An exporter does not work on this machine.
    """
    set_threads(1)
    if (progress_bars := sys.modules.get("tqdm")) is not None:
        progress_bars.tqdm.monitor_interval = 0  # else it starts a thread
    with tempfile.TemporaryDirectory() as folder:
        for exporter in exporters:
            model = torch.nn.Sequential(torch.nn.Linear(2, 2)).eval()
            trace(model, (torch.ones(1, 2),), Path(folder, f"{exporter}.onnx"), exporter=exporter)


def set_threads(count: int) -> None:
    """Set the number of threads of torch, and of what tracing runs beside it."""
    torch.set_num_threads(count)
