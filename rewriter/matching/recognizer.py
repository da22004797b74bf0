"""Recognising a file that is not the traced one, by names, weights and values together.

They first decide whether the record belongs to the file's model at all. Only then are nodes
matched, because structure alone could match a file of another model.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import onnx

from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.scorer import ScoredOp
from modelexport.rewriter.matching.evidence.claims import Claims
from modelexport.rewriter.matching.evidence.names import NameMatch, match_names
from modelexport.rewriter.matching.evidence.retraining import describe_retraining
from modelexport.rewriter.matching.evidence.values import ValueMatch
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.evidence.weights import WeightMatcher
from modelexport.rewriter.matching.match_sources import MatchSources
from modelexport.rewriter.matching.model_identity import compare_weight_shapes, refuse_foreign
from modelexport.rewriter.matching.node_claims import ClaimBuilder
from modelexport.rewriter.matching.observed_values import ComparedValues, ObservedValues
from modelexport.rewriter.matching.resolver import NodeResolver
from modelexport.rewriter.matching.thresholds import (
    MINIMUM_VALUE_SHARE,
    MINIMUM_WEIGHT_SHARE,
    SIBLING_WEIGHT_SHARE,
)
from modelexport.support.threads import short_switch_interval

WeighedOps = Mapping[int, list[ScoredOp]]
"""Nodes to the recorded ops that were weighed for them."""


@dataclass(frozen=True)
class Recognition:
    """What was found out about a file.

    Attributes:
        graph: The nodes of the file.
        claims: What each kind of evidence says.
        notes: What the user should know.
        origins: Recorded ops whose work each node does.
        weighed: Recorded ops that were weighed for each node.
        parameters: Initializer name to the parameter that it holds.
    """

    graph: ModelGraph
    claims: list[Claims]
    notes: tuple[str, ...]
    origins: dict[int, tuple[int, ...]]
    weighed: WeighedOps
    parameters: dict[str, str]


def recognise_file(
    model: onnx.ModelProto, record: Record, where: str, sources: MatchSources
) -> Recognition:
    """Match a file with a record by all evidence but identity.

    Args:
        model: The model, or its skeleton without weights.
        record: The record.
        where: The file, for messages.
        sources: What may be looked at besides the graph.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    with short_switch_interval(), ThreadPoolExecutor(1) as executor:
        return Recognizer(model, record, where, sources, executor).run()


class Recognizer:
    """Matches one file with one record.

    Args:
        model: The file.
        record: The record.
        where: The file, for messages.
        sources: What may be looked at besides the graph.
        executor: Runs the file while its graph and its weights are looked at.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        record: Record,
        where: str,
        sources: MatchSources,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._model = model
        self._record = record
        self._where = where
        self._sources = sources
        self._observed = ObservedValues(model, record, sources, executor)  # starts to run the file
        self._graph = ModelGraph(model)
        self._file = self._graph.indexed
        self._recorded = IndexedGraph.from_record(record)

    def run(self) -> Recognition:
        """Collect the evidence, check that it is the same model, and match the nodes.

        Raises:
            ForeignRecordError: The record is of another model.
        """
        allowed = self._sources.evidence
        weights = self._match_weights()
        names = None
        if EvidenceKind.NAMES in allowed:
            names = match_names(self._graph, self._record, self._numbers_of_parameters(weights))
        pairs = {} if names is None else names.pairs
        compared = self._observed.compare(
            self._file,
            self._recorded,
            try_half_precision=not weights.retrained,
            may_be_related=weights.are_recorded_exactly,
            has_few_digits=weights.has_few_digits,
            halved=weights.halved,
            coded=weights.coded,
        )
        weights, values = _resolve_retraining(weights, compared)
        notes = self.check_same_model(values, weights, len(pairs))
        if EvidenceKind.WEIGHTS not in allowed:
            weights = WeightMatch()
        resolver = NodeResolver(self._record, self._file, self._recorded, values, weights)
        resolution = resolver.resolve(
            pairs,
            structure=EvidenceKind.STRUCTURE in allowed,
            uncertain=_uncertain_names(names, weights),
        )
        claims = ClaimBuilder(self._graph.keys, self._record, resolution, weights.owners).build()
        if names is not None:
            claims.insert(0, self._unpaired_names(names, claims))
        return Recognition(
            self._graph,
            claims,
            (*compared.notes, *notes),
            resolution.origins(),
            resolution.considered,
            self._parameters(weights),
        )

    def _match_weights(self) -> WeightMatch:
        matcher = WeightMatcher(
            self._graph, self._file, self._recorded, self._record, self._sources.read
        )
        return matcher.match()

    def _numbers_of_parameters(self, weights: WeightMatch) -> dict[int, frozenset[str]]:
        """Weights whose numbers are recorded, to the parameters that hold them; new ones to none.

        In a model that was trained further numbers tell nothing.
        """
        if weights.retrained:
            return {}
        parameters = self._recorded_parameters
        numbers = {
            value: frozenset(parameters[label] for label in labels if label in parameters)
            for value, labels in weights.candidates.items()
        }
        recorded = {value: names for value, names in numbers.items() if names}
        return recorded | dict.fromkeys(weights.new, frozenset())

    def check_same_model(
        self, values: ValueMatch | None, weights: WeightMatch, paired: int
    ) -> tuple[str, ...]:
        """Refuse a record that is not of the file's model.

        Values decide, then weights; where neither was found, names do.

        Args:
            values: How values compare.
            weights: How weights compare.
            paired: Nodes whose names pair with recorded ops.

        Returns:
            What the user should know.

        Raises:
            ForeignRecordError: Too little is in common.
        """
        share, distinctive = weights.matched_share, bool(weights.distinctive_elements)
        if not weights.retrained:
            if values is not None and values.file_share >= MINIMUM_VALUE_SHARE:
                return ()
            if weights.idle.prevail:
                raise ForeignRecordError(
                    f"{self._where}: the record is of another part of the model: "
                    f"{weights.idle.describe()}. Use the record of the part that the file holds."
                )
            if share >= MINIMUM_WEIGHT_SHARE:
                return ()
        sibling = weights.retrained and share >= SIBLING_WEIGHT_SHARE
        if paired or not sibling:
            refuse_foreign(
                compare_weight_shapes(self._model, self._record),
                paired,
                len(self._graph),
                self._where,
                recorded_ops=len(self._recorded) if weights.retrained or distinctive else None,
                findings=_describe_shares(values, weights),
            )
        if not weights.retrained:
            return ()
        differing = weights.differing
        note = describe_retraining(len(differing), weights.compared, differing[-1])
        return (f"{note}, and its values were not compared",)

    def _unpaired_names(self, names: NameMatch, claims: list[Claims]) -> Claims:
        """Why names do not tell the module of nodes that no evidence settled."""
        settled = {key for kind in claims for key in kind.by_node}
        nodes = [node for node, key in enumerate(self._graph.keys) if key not in settled]
        reasons = names.why_unpaired(nodes)
        return Claims(reasons={self._graph.keys[node]: why for node, why in reasons.items()})

    @cached_property
    def _recorded_parameters(self) -> dict[int, str]:
        """The recorded initializers that hold a parameter, to its name."""
        return {
            self._recorded.value_of(tensor.graph, tensor.name): tensor.parameter
            for tensor in self._record.tensors
            if tensor.parameter is not None
        }

    def _parameters(self, weights: WeightMatch) -> dict[str, str]:
        """Initializer name to parameter, of the main graph."""
        recorded = self._recorded_parameters
        parameters = {}
        for value, candidates in weights.candidates.items():
            graph, name = self._file.value_names[value]
            parameter = recorded.get(next(iter(candidates))) if len(candidates) == 1 else None
            if graph == MAIN and parameter is not None:
                parameters[name] = parameter
        return parameters


def _uncertain_names(names: NameMatch | None, weights: WeightMatch) -> frozenset[int]:
    """Nodes whose name may be that of another node in a related model."""
    if names is None:
        return frozenset()
    return frozenset(names.pairs) if weights.misnamed else names.counted


def _resolve_retraining(
    weights: WeightMatch, compared: ComparedValues
) -> tuple[WeightMatch, ValueMatch | None]:
    """What to conclude from values if weights hold other numbers.

    If the file still computes the recorded values, it is not retrained: an optimiser has folded its
    weights into each other. If it is retrained, its values are not used.
    """
    if not weights.retrained or compared.values is None:
        return weights, compared.values
    if compared.values.rejects_mismatch:
        return replace(weights, differing=()), compared.values
    return weights, None


def _describe_shares(values: ValueMatch | None, weights: WeightMatch) -> str:
    """What was compared besides names, for a person."""
    findings = []
    if weights.distinctive_elements:
        findings.append(f", {weights.matched_share:.0%} of its weights hold recorded numbers")
    if values is not None:
        findings.append(f", {values.file_share:.0%} of what it computes was recorded")
    return "".join(findings)
