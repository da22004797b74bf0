"""Running a file in onnxruntime with its profiler on, as users run it."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from modelexport.errors import FileProblem, RuntimeFailedError, UsageError
from modelexport.hierarchy.choices import OptimisationLevel
from modelexport.hierarchy.runtime_values import run_session, with_limits
from modelexport.rewriter.container import SessionSource
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.execution.session import (
    EXTERNAL_DATA_FOLDER,
    RUN_SECONDS,
    run_limit_error,
)
from modelexport.support.error_texts import first_line
from modelexport.support.gc_pause import gc_paused
from modelexport.support.limited_call import CallLimitError
from modelexport.support.lost_memory import add_mapped_files

_LEVELS = {
    OptimisationLevel.DISABLE: "ORT_DISABLE_ALL",
    OptimisationLevel.BASIC: "ORT_ENABLE_BASIC",
    OptimisationLevel.EXTENDED: "ORT_ENABLE_EXTENDED",
    OptimisationLevel.ALL: "ORT_ENABLE_ALL",
}
"""onnxruntime's name of each level."""

_EMBEDDED_WEIGHTS = 1 << 30
"""Bytes of a file from which the weights of its optimised form are written beside it: a single
file holds at most 2 GiB."""
_EXTERNAL_FILE = "session.optimized_model_external_initializers_file_name"


@dataclass(frozen=True)
class RunCounts:
    """How often a session runs its file.

    Attributes:
        warmup: Number of runs before those that are measured.
        measured: Number of measured runs, by the seconds that it took to make the session, and by
            those that a run takes.
    """

    warmup: int
    measured: Callable[[float, float], int]


@dataclass(frozen=True)
class ProfiledRun:
    """What a profiled run left behind.

    Attributes:
        events: onnxruntime's profile, a JSON file.
        version: Version of onnxruntime.
        providers: The execution providers of the session.
        seconds_to_make: Time that it took to make the session.
        seconds_of_run: Time of its last run before the number of measured runs was chosen.
    """

    events: Path
    version: str
    providers: tuple[str, ...]
    seconds_to_make: float
    seconds_of_run: float


def optimise(
    path: Path,
    folder: Path,
    *,
    source: SessionSource,
    level: OptimisationLevel,
    provider: str | None = None,
    libraries: Iterable[str] = (),
) -> Path:
    """Write the optimised form that onnxruntime makes of a file, without running it.

    Args:
        path: The file.
        folder: Where the result goes.
        source: What to load: the file itself, or something in its place.
        level: How far it is optimised.
        provider: The execution provider; None for the processor.
        libraries: Custom operator libraries to load.

    Raises:
        FileProblem: The folder has no room for the result.
        RuntimeFailedError: onnxruntime cannot load the file.
        UsageError: This onnxruntime has no such provider.
    """
    import onnxruntime as ort  # noqa: PLC0415 - heavy

    target = folder / "optimised.onnx"
    options = _session_options(ort, path, target, source, level, libraries)
    _open_session(ort, path, options, source, provider)
    return target


def run_profiled(
    path: Path,
    events: Path,
    feeds: Feeds,
    *,
    optimised: Path | None = None,
    source: SessionSource,
    level: OptimisationLevel,
    runs: RunCounts,
    threads: int,
    provider: str | None = None,
    libraries: Iterable[str] = (),
) -> ProfiledRun:
    """Run a file with onnxruntime's profiler on.

    Args:
        path: The file.
        events: Where onnxruntime's profile goes; onnxruntime adds a date to the name.
        feeds: An array for each input.
        optimised: Where the file goes in the form into which onnxruntime optimises it.
        source: What to load: the file itself, or something in its place.
        level: How far it is optimised.
        runs: How often it is run.
        threads: Number of threads inside an operator; 0 to let onnxruntime choose.
        provider: The execution provider; None for the processor.
        libraries: Custom operator libraries to load.

    Raises:
        FileProblem: The folder has no room for the optimised file.
        RunLimitError: It takes too much time or memory.
        RuntimeFailedError: onnxruntime cannot load or run the file.
        UsageError: This onnxruntime has no such provider.
    """
    import onnxruntime as ort  # noqa: PLC0415 - heavy

    options = _session_options(ort, path, optimised, source, level, libraries)
    options.intra_op_num_threads = threads
    options.enable_profiling = True
    options.profile_file_prefix = str(events)
    start = time.perf_counter()
    session = _open_session(ort, path, options, source, provider)
    seconds = time.perf_counter() - start
    names = [value.name for value in session.get_outputs()]

    def run_often(count: int, run_options: Any) -> float:
        """Run it some times, one after the other; the seconds of the last run."""
        start = time.perf_counter()
        for _ in range(count):
            start = time.perf_counter()
            run_session(session, ort, names, feeds, run_options)
        return time.perf_counter() - start

    first = max(1, runs.warmup)
    try:
        with gc_paused():  # nothing is collected during a run
            warm_up = partial(run_often, first)
            seconds_of_run = with_limits(ort, warm_up, seconds=first * RUN_SECONDS)
            count = runs.warmup + runs.measured(seconds, seconds_of_run) - first
            with_limits(ort, partial(run_often, count))
    except CallLimitError as error:
        raise run_limit_error(path, error) from error
    except Exception as error:  # onnxruntime's errors share no base class
        raise RuntimeFailedError(
            f"{path}: onnxruntime cannot run it ({first_line(error)})."
        ) from error
    written = Path(session.end_profiling())
    providers = tuple(session.get_providers())
    return ProfiledRun(written, ort.__version__, providers, seconds, seconds_of_run)


def _session_options(
    ort: Any,
    path: Path,
    optimised: Path | None,
    source: SessionSource,
    level: OptimisationLevel,
    libraries: Iterable[str],
) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised; nothing else is of interest
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[level])
    if isinstance(source.model, bytes):
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, str(source.folder))
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
        if _bytes_of(path) >= _EMBEDDED_WEIGHTS:
            options.add_session_config_entry(_EXTERNAL_FILE, f"{optimised.name}.data")
    try:
        for library in libraries:
            options.register_custom_ops_library(library)
    except Exception as error:  # onnxruntime's errors share no base class
        raise RuntimeFailedError(
            f"{path}: a custom operator library cannot be loaded ({first_line(error)})."
        ) from error
    return options


def _open_session(
    ort: Any, path: Path, options: Any, source: SessionSource, provider: str | None
) -> Any:
    add_mapped_files(source.files)
    providers = [_provider(ort, provider)] if provider else ["CPUExecutionProvider"]
    try:
        return ort.InferenceSession(
            source.model,
            options,
            providers=providers,
            enable_fallback=0,  # it would print, and measure another provider
        )
    except Exception as error:  # onnxruntime's errors share no base class
        written = options.optimized_model_filepath
        folder = Path(written).parent
        if written and shutil.disk_usage(folder).free < _bytes_of(path):
            raise FileProblem(
                f"{folder}: the folder for temporary files has no room for the optimised form of "
                f"{path.name}; choose another with TMPDIR."
            ) from error
        raise RuntimeFailedError(
            f"{path}: onnxruntime cannot load it ({first_line(error)})."
        ) from error


def _provider(ort: Any, name: str) -> str:
    """The full name of an execution provider.

    Raises:
        UsageError: This onnxruntime does not have it.
    """
    available = list(ort.get_available_providers())
    for candidate in available:
        if name.lower() in {candidate.lower(), candidate.lower().removesuffix("executionprovider")}:
            return str(candidate)
    raise UsageError(
        f"--provider {name}: this onnxruntime does not have it; choose from {', '.join(available)}."
    )


def _bytes_of(path: Path) -> int:
    """Bytes of a file and of all files beside it that may hold its weights."""
    sizes = (f.stat().st_size for f in path.parent.glob(f"{path.name}*") if f.is_file())
    return sum(sizes)
