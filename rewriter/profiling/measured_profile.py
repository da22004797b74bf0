"""Running a file in onnxruntime, and finding the modules of the nodes that ran.

onnxruntime merges and renames nodes before it runs them. It writes its optimised form of the
file; that form is matched with the file in memory, as any other file made from it would be.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.profile_options import ProfileOptions
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.inherited_record import own_feeds
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import SessionSource, file_source, session_source
from modelexport.rewriter.execution.empty_inputs import read_extents
from modelexport.rewriter.execution.feeds import Feeds, candidate_feeds, graph_inputs
from modelexport.rewriter.execution.generated_feeds import distinctive_feeds
from modelexport.rewriter.execution.profiled_run import ProfiledRun, RunCounts, run_profiled
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.profiling.importers.onnxruntime_events import read_events
from modelexport.rewriter.profiling.importers.onnxruntime_json import read_onnxruntime
from modelexport.rewriter.profiling.match_optimised import OptimisedFile, match_optimised
from modelexport.rewriter.profiling.optimised_graph import graph_of_optimised
from modelexport.rewriter.profiling.profiled_graph import ProfiledGraph
from modelexport.rewriter.profiling.recorded_profile import RecordedProfile
from modelexport.rewriter.profiling.sessions import (
    SECONDS_OF_EXECUTION,
    affordable_sessions,
    choose_runs,
    join_sessions,
    split_runs,
)
from modelexport.support.progress import report_step
from modelexport.support.unique_names import UniqueNames

_ESCAPED = frozenset('"\\')
"""Characters that JSON escapes, besides those that are not printable."""


@dataclass(frozen=True)
class Measurement:
    """A profile with the graph that ran.

    Attributes:
        profile: What was measured.
        graph: The graph that ran, with the work of its nodes by module.
        feeds: The inputs of the runs.
        notes: What the user should know.
        optimised: The optimised form, where it is to be saved.
    """

    profile: RecordedProfile
    graph: ProfiledGraph
    feeds: Feeds
    notes: tuple[str, ...] = ()
    optimised: OptimisedFile | None = None


def measure(
    file: PlacedFile, options: ProfileOptions, record: Record | None, folder: Path, *, saves: bool
) -> Measurement:
    """Run a file in onnxruntime with its profiler on.

    Args:
        file: The file.
        options: How it is run.
        record: A trace record whose inputs are used; None for generated inputs.
        folder: A temporary folder, for the optimised form among others.
        saves: Whether the optimised form is to be saved.

    Raises:
        RuntimeFailedError: The file does not run.
        UsageError: The inputs do not fit, or there is no such provider.
    """
    feeds, notes = choose_feeds(file, options, record)
    path = folder / "optimised.onnx"
    profile = _run_sessions(file, options, feeds, path)
    report_step("matching")
    optimised = match_optimised(file, path, feeds, options, saves=saves)
    extents = extents_of(file, feeds)
    graph = graph_of_optimised(ModelGraph(optimised.model), optimised.decisions, file, extents)
    return Measurement(profile, graph, feeds, notes, optimised if saves else None)


def _run_sessions(
    file: PlacedFile, options: ProfileOptions, feeds: Feeds, optimised: Path
) -> RecordedProfile:
    """Run a file in several sessions, one after the other. The first writes its optimised form.

    Where a session puts weights and values in memory makes nodes faster or slower for as long as
    it lives. The next session puts them elsewhere. The first tells how long loading and running
    take, and so how many sessions and runs there are.
    """
    source = _distinctly_named(file) or file_source(file.container)
    libraries = [str(library) for library in options.libraries]

    def run_session(session: int, shares: Callable[[float, float], Sequence[int]]) -> ProfiledRun:
        report_step(f"running {file.path.name} (session {session + 1})")
        return run_profiled(
            file.path,
            optimised.with_name(f"profile{session}"),
            feeds,
            optimised=optimised if session == 0 else None,
            source=source,
            level=options.level,
            runs=RunCounts(
                options.warmup, lambda to_make, of_run: shares(to_make, of_run)[session]
            ),
            threads=options.threads,
            provider=options.provider,
            libraries=libraries,
        )

    nodes = len(file.graph.nodes)

    def shares_of(to_make: float, of_run: float) -> list[int]:
        runs = options.runs or choose_runs(of_run, nodes)
        warming_up = options.warmup * (of_run + nodes * SECONDS_OF_EXECUTION)
        sessions = affordable_sessions(to_make + warming_up, options.sessions)
        return split_runs(runs, sessions)

    first = run_session(0, shares_of)
    shares = shares_of(first.seconds_to_make, first.seconds_of_run)
    others = [run_session(session, lambda *_: shares) for session in range(1, len(shares))]
    return join_sessions([_read_run(run, file.path, options.warmup) for run in (first, *others)])


def _read_run(run: ProfiledRun, path: Path, warmup: int) -> RecordedProfile:
    profile = read_onnxruntime(read_events(run.events, path), warmup)
    return profile.with_providers(f"onnxruntime {run.version}", run.providers)


def choose_feeds(
    file: PlacedFile, options: ProfileOptions, record: Record | None
) -> tuple[Feeds, tuple[str, ...]]:
    """The inputs of the runs, and a note where the user gave none."""
    graph = file.model.graph
    if options.probe is not None:
        return own_feeds(graph, options.probe), ()
    if record is not None and record.probe.inputs:
        recorded = [(value.name, value.to_array()) for value in record.probe.inputs]
        feeds = next(candidate_feeds(graph, recorded))
        return feeds, (f"inputs are those of the record ({_shapes(feeds)})",)
    libraries = [str(library) for library in options.libraries]
    feeds = distinctive_feeds(file.path, file_source(file.container), libraries)
    return feeds, (f"inputs were generated ({_shapes(feeds)}): --probe takes your own",)


def extents_of(file: PlacedFile, feeds: Feeds) -> Mapping[str, int]:
    """Sizes of the named open dimensions of a file on some inputs."""
    extents: dict[str, int] = {}
    declared: set[str] = set()
    for value in graph_inputs(file.model.graph):
        declared.update(d.dim_param for d in value.type.tensor_type.shape.dim if d.dim_param)
        if value.name in feeds:
            extents |= read_extents(value, feeds[value.name].shape)
    return {name: size for name, size in extents.items() if name in declared}


def _distinctly_named(file: PlacedFile) -> SessionSource | None:
    """The file with a name of its own for each node, if some lack one; None if none do.

    onnxruntime's profile refers to nodes by their names, and writes these without JSON's escapes.
    """
    names = [node.name for _, node in walk_nodes(file.file.skeleton)]
    if len(set(names)) == len(names) and all(map(_is_written_well, names)):
        return None
    copy = onnx.ModelProto()
    copy.CopyFrom(file.file.skeleton)
    new_names = UniqueNames(name for name in names if _is_written_well(name))
    used: set[str] = set()
    for key, node in walk_nodes(copy):
        if not _is_written_well(node.name) or node.name in used:
            op_type = node.op_type if _is_written_well(node.op_type) else "node"
            node.name = new_names.take(f"{op_type}#{key.position}")
        used.add(node.name)
    return session_source(file.container, copy)


def _is_written_well(name: str | bytes) -> bool:
    """Whether onnxruntime writes a name so that it can be read; it is bytes if it is no UTF-8."""
    return isinstance(name, str) and name != "" and name.isprintable() and not _ESCAPED & set(name)


def _shapes(feeds: Feeds) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, a.shape)) or '1'}" for name, a in feeds.items())
