"""Profiling in openvino, which names its layers after the nodes of the file."""

import tempfile
from pathlib import Path

from modelexport.hierarchy.profile_options import ProfileOptions
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.execution.openvino_run import OpenvinoRun, run_openvino
from modelexport.rewriter.profiling.importers.openvino_files import source_names
from modelexport.rewriter.profiling.measured_profile import Measurement, choose_feeds, extents_of
from modelexport.rewriter.profiling.profiled_graph import graph_of_file
from modelexport.rewriter.profiling.recorded_profile import (
    RecordedLayer,
    RecordedProfile,
    executed_predecessors,
)
from modelexport.rewriter.profiling.sessions import choose_runs
from modelexport.support.progress import report_step


def measure_openvino(
    file: PlacedFile, options: ProfileOptions, record: Record | None
) -> Measurement:
    """Run a file in openvino with its counters on.

    openvino does not load functions: they are inlined first.

    Args:
        file: The file.
        options: How it is run.
        record: A trace record whose inputs are used; None for generated inputs.

    Raises:
        MissingExtraError: openvino is not installed.
        RuntimeFailedError: openvino does not run the file.
    """
    feeds, notes = choose_feeds(file, options, record)
    report_step(f"running {file.path.name} in openvino")
    with tempfile.TemporaryDirectory() as folder:
        path = file.path
        if file.file.folded:
            path = Path(folder, "unfolded.onnx")
            file.container.write_model(path, file.model)
        run = run_openvino(
            path,
            feeds,
            runs=lambda seconds: options.runs or choose_runs(seconds, len(file.graph.nodes)),
            warmup=options.warmup,
            threads=options.threads,
            device=options.provider,
        )
    return Measurement(_profile(run), graph_of_file(file, extents_of(file, feeds)), feeds, notes)


def _profile(run: OpenvinoRun) -> RecordedProfile:
    executed = executed_predecessors(run.reads, {layer.name for layer in run.layers})
    layers = tuple(
        RecordedLayer(
            name=layer.name,
            op_type=layer.kind,
            times=layer.times,
            sources=source_names(layer.name, layer.originals),
            predecessors=executed[layer.name],
            provider=run.device,
        )
        for layer in run.layers
    )
    return RecordedProfile(
        f"openvino {run.version}",
        layers,
        len(run.run_times),
        run.run_times,
        providers=(run.device,),
    )
