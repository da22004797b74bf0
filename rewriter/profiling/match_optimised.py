"""Matching onnxruntime's optimised form of a file with the file."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy import keys
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.profile_options import ProfileOptions
from modelexport.hierarchy.record import Probe, Record
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.inherited_record import record_of_file, record_of_values
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.execution.feeds import Feeds
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import Decision
from modelexport.rewriter.matching.match_sources import MatchSources
from modelexport.rewriter.matching.matcher import match_record
from modelexport.rewriter.profiling.named_values import OptimisedValues, named_values
from modelexport.rewriter.profiling.optimised_graph import plain_operator
from modelexport.rewriter.profiling.profiled_graph import UNSURE


@dataclass(frozen=True)
class OptimisedFile:
    """The optimised form of a file, in a temporary folder.

    Attributes:
        model: The model without weights.
        decisions: A decision for each of its nodes.
        path: Where it is.
        record: The record by which it is annotated; None where it is not to be saved.
        matching: How it is matched.
    """

    model: onnx.ModelProto
    decisions: list[Decision]
    path: Path
    record: Record | None
    matching: MatchOptions

    def save(self, target: Path, *, force: bool) -> None:
        """Write it, annotated and with unique node names.

        Args:
            target: The file to write.
            force: Whether it may overwrite a file.

        Raises:
            FileProblem: It cannot be written.
        """
        _keep_names(self.path, self.model)
        annotate(self.path, self.record, target, matching=self.matching, force=force)


def match_optimised(
    file: PlacedFile, path: Path, feeds: Feeds, options: ProfileOptions, *, saves: bool = False
) -> OptimisedFile:
    """Match the optimised form of a file with the file.

    The names of values suffice for most files. Where they do not, both are run.

    Args:
        file: The file.
        path: The optimised form.
        feeds: Inputs on which the file runs.
        options: The libraries that are loaded.
        saves: Whether the optimised form is to be saved.
    """
    model = onnx.load(path, load_external_data=False)
    matching = MatchOptions(libraries=options.libraries)
    if not saves:
        decisions = _match_by_names(file, path, feeds)
        if decisions is not None:
            return OptimisedFile(model, decisions, path, None, matching)
    record = record_of_file(file.file, file.hierarchy, feeds, matching)
    report = annotate(path, record, None, matching=matching, rules=file.hierarchy.rules)
    return OptimisedFile(model, report.decisions, path, record if saves else None, matching)


def _match_by_names(file: PlacedFile, path: Path, feeds: Feeds) -> list[Decision] | None:
    """The decisions by names of values; None where a node that computes is left to its neighbours.

    Args:
        file: The file.
        path: The optimised form.
        feeds: Inputs on which the file runs.
    """
    probe = Probe(tuple(ProbeInput.from_array(name, array) for name, array in feeds.items()))
    record = record_of_values(file.file, file.hierarchy, probe, named_values(file.file.model))
    names = {(node.name, plain_operator(node.op_type)) for node in file.graph.nodes}
    with ModelFile.open(path) as optimised:
        graph = ModelGraph(optimised.model)
        values = OptimisedValues.of(optimised.model, file.file.model)
        sources = MatchSources(optimised.container.array, values.observe)
        try:
            decisions = match_record(optimised.model, record, str(path), sources).decisions
        except ForeignRecordError:
            return None
        unsure = any(
            decision.evidence in UNSURE
            and (decision.covers or not decision.origins)
            and (decision.name, plain_operator(decision.op_type)) not in names
            and not graph.is_auxiliary(node)
            for node, decision in enumerate(decisions)
        )
        return None if unsure else decisions


def _keep_names(path: Path, model: onnx.ModelProto) -> None:
    """Keep annotating from giving nodes the names that they had before path names.

    The profile and the values for other tools know nodes by the names that ran. onnxruntime gives
    its nodes unique names.

    Args:
        path: The optimised form; it is written again where it tells earlier names.
        model: The same, loaded.
    """
    kept = [entry for entry in model.metadata_props if entry.key != keys.NAMES]
    if len(kept) < len(model.metadata_props):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.metadata_props[:]
        copy.metadata_props.extend(kept)
        onnx.save(copy, path)
