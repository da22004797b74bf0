"""Loading ahead of time all that tracing loads only when it runs, for processes that fork."""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers  # noqa: F401 - loading is the point

from modelexport.tracer.tracing import trace


def warm(exporters: Iterable[str]) -> None:
    """Trace a tiny model by each exporter, on one thread, so that no thread is left behind.

    A process that forks must run none: a child gets the locks that threads held, and no threads.

    Raises:
        ModelExportError: An exporter does not work here at all.
    """
    use_threads(1)
    if (bars := sys.modules.get("tqdm")) is not None:
        bars.tqdm.monitor_interval = 0  # its monitor is a thread
    with tempfile.TemporaryDirectory() as folder:
        for exporter in exporters:
            model = torch.nn.Sequential(torch.nn.Linear(2, 2)).eval()
            trace(model, (torch.ones(1, 2),), Path(folder, f"{exporter}.onnx"), exporter=exporter)


def use_threads(count: int) -> None:
    """Let torch, and what runs beside it, work on so many threads."""
    torch.set_num_threads(count)
