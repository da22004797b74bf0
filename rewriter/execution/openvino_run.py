"""Running a file in openvino with its counters on. No other module imports openvino."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelexport.errors import RuntimeFailedError
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.support.error_texts import first_line
from modelexport.support.extras import require_extra


@dataclass(frozen=True)
class OpenvinoLayer:
    """A layer that openvino executed.

    Attributes:
        name, kind: As openvino has them.
        originals: Names of the nodes that it was made of, separated by commas.
        times: Microseconds in each run.
    """

    name: str
    kind: str
    originals: str
    times: tuple[float, ...]


@dataclass(frozen=True)
class OpenvinoRun:
    """What openvino measured.

    Attributes:
        version: Version of openvino.
        device: What it ran on.
        layers: The executed layers, in the order of execution.
        reads: Names of the layers that each layer reads, those not executed included.
        run_times: Microseconds of each run.
    """

    version: str
    device: str
    layers: tuple[OpenvinoLayer, ...]
    reads: dict[str, tuple[str, ...]]
    run_times: tuple[float, ...]


def run_openvino(
    path: Path,
    feeds: Feeds,
    *,
    runs: Callable[[float], int],
    warmup: int,
    threads: int,
    device: str | None = None,
) -> OpenvinoRun:
    """Run a file in openvino.

    Args:
        path: The file; it has no functions.
        feeds: An array for each input.
        runs: Number of measured runs, by the seconds that a run takes.
        warmup: Number of runs before them; there is one at least, which tells the seconds.
        threads: Number of threads; 0 for openvino's choice.
        device: The device; None for the processor.

    Raises:
        MissingExtraError: openvino is not installed.
        RuntimeFailedError: openvino cannot load or run the file.
    """
    with require_extra("openvino", "--runtime openvino"):
        import openvino  # noqa: PLC0415 - heavy, and optional
    device = device or "CPU"
    settings: dict[str, Any] = {"PERF_COUNT": "YES"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        model = openvino.Core().compile_model(str(path), device, settings)
        request = model.create_infer_request()
        times: dict[str, list[float]] = {}
        run_times = []
        for _ in range(max(1, warmup)):
            request.infer(dict(feeds))
        for _ in range(runs(float(request.latency) / 1000)):
            request.infer(dict(feeds))
            run_times.append(1000 * float(request.latency))
            for counter in request.get_profiling_info():
                if counter.status.name == "EXECUTED":
                    time = 1e6 * counter.real_time.total_seconds()
                    times.setdefault(counter.node_name, []).append(time)
    except RuntimeError as error:
        raise RuntimeFailedError(
            f"{path}: openvino cannot load or run it ({first_line(error)})."
        ) from error
    graph = model.get_runtime_model()
    reads = {
        layer.friendly_name: tuple(v.get_node().friendly_name for v in layer.input_values())
        for layer in graph.get_ops()
    }
    version = openvino.__version__.partition("-")[0]
    return OpenvinoRun(version, device, tuple(_layers(graph, times)), reads, tuple(run_times))


def _layers(model: Any, times: dict[str, list[float]]) -> list[OpenvinoLayer]:
    """The executed layers of the graph that ran."""
    runs = max(map(len, times.values()), default=0)
    return [
        OpenvinoLayer(
            name=layer.friendly_name,
            kind=_info(layer, "layerType"),
            originals=_info(layer, "originalLayersNames"),
            times=tuple(times[layer.friendly_name]),
        )
        for layer in sorted(model.get_ops(), key=lambda op: int(_info(op, "execOrder") or 0))
        if len(times.get(layer.friendly_name, ())) == runs
    ]


def _info(layer: Any, key: str) -> str:
    """An entry of a layer's information; empty where there is none."""
    info = layer.get_rt_info()
    if key not in info:
        return ""
    value = info[key]
    return str(value.value if hasattr(value, "value") else value)
