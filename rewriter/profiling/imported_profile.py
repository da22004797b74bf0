"""Joining a profile that was recorded elsewhere with a file."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.profile_options import ImportedProfile, ProfileOptions
from modelexport.rewriter.analysis.costs import Work
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import file_source
from modelexport.rewriter.execution.profiled_run import optimise
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.profiling.importers.read_profile import read_profile
from modelexport.rewriter.profiling.join_layers import join_layers
from modelexport.rewriter.profiling.match_optimised import match_optimised
from modelexport.rewriter.profiling.measured_profile import Measurement, choose_feeds
from modelexport.rewriter.profiling.optimised_graph import graph_of_optimised
from modelexport.rewriter.profiling.profiled_graph import ProfiledGraph, graph_of_file
from modelexport.rewriter.profiling.recorded_profile import RecordedProfile

_ONNXRUNTIME = "onnxruntime"
_UNKNOWN = "unknown"
"""The operator of a layer of which neither the profile nor the file names one."""


def join_imported(
    file: PlacedFile, imported: ImportedProfile, options: ProfileOptions
) -> Measurement:
    """Join a profile with the nodes of a file.

    The layers of most runtimes name ONNX nodes. onnxruntime names the nodes of its optimised form:
    where the file does not have them all, the file is optimised in the same way.

    Args:
        file: The file that was run.
        imported: The profile.
        options: The level of onnxruntime's optimisations.

    Raises:
        FileProblem: The profile cannot be read.
        RuntimeFailedError: onnxruntime does not optimise or run the file.
        UsageError: There is layer information for a profile that is not trtexec's.
    """
    profile = read_profile(imported.path, imported.layer_info)
    graph = graph_of_file(file, {})
    notes: tuple[str, ...] = (f"the profile is {imported.path.name}",)
    if profile.runtime == _ONNXRUNTIME and _unmapped(profile, graph):
        try:
            optimised = _optimised_graph(file, options)
        except ForeignRecordError as error:
            return Measurement(profile, graph, {}, (*notes, f"not matched when optimised: {error}"))
        if _unmapped(profile, optimised) < _unmapped(profile, graph):
            note = f"its nodes are those of the file, optimised anew (level {options.level})"
            return Measurement(profile, optimised, {}, (*notes, note))
    return Measurement(_with_operators(profile, graph), graph, {}, notes)


def _with_operators(profile: RecordedProfile, graph: ProfiledGraph) -> RecordedProfile:
    """The profile, with an operator for each layer of which it names none.

    It is that of the node that does most of the layer's work.
    """
    layers = tuple(
        layer if layer.op_type else replace(layer, op_type=_operator(numbers, graph))
        for layer, numbers in zip(profile.layers, join_layers(profile.layers, graph), strict=True)
    )
    return replace(profile, layers=layers)


def _operator(numbers: Sequence[int], graph: ProfiledGraph) -> str:
    if not numbers:
        return _UNKNOWN
    nodes = [graph.nodes[number] for number in numbers]
    heaviest = max(nodes, key=lambda node: max(node.works.values(), default=Work()))
    return heaviest.op_type.rpartition("::")[2]


def _unmapped(profile: RecordedProfile, graph: ProfiledGraph) -> int:
    """Number of layers for which a graph has no node."""
    return sum(not nodes for nodes in join_layers(profile.layers, graph))


def _optimised_graph(file: PlacedFile, options: ProfileOptions) -> ProfiledGraph:
    """The nodes of the optimised form of the file, which onnxruntime makes."""
    libraries = [str(library) for library in options.libraries]
    feeds, _ = choose_feeds(file, options, None)
    with tempfile.TemporaryDirectory() as folder:
        path = optimise(
            file.path,
            Path(folder),
            source=file_source(file.container),
            level=options.level,
            provider=options.provider,
            libraries=libraries,
        )
        optimised = match_optimised(file, path, feeds, options)
    return graph_of_optimised(ModelGraph(optimised.model), optimised.decisions, file, {})
