"""Resolving the nodes of a file that is not the traced one: all kinds of evidence together.

Names, values and weights seed an alignment of the file's graph with the recorded one, which grows
from there. Nodes that are no recorded op get the ops that their neighbours enclose.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.graph_view import ContractedGraph, GraphView
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.alignment.aligner import Aligner
from modelexport.rewriter.matching.alignment.enclosure import Enclosed, Enclosure
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair, match_inputs
from modelexport.rewriter.matching.alignment.layouts import find_shaping_nodes
from modelexport.rewriter.matching.alignment.node_work import NodeWork
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.passing import find_passing_ops
from modelexport.rewriter.matching.alignment.scorer import ScoredOp
from modelexport.rewriter.matching.alignment.seeds import Seeder, find_nearby_ops
from modelexport.rewriter.matching.alignment.spans import Span
from modelexport.rewriter.matching.evidence.divergence import find_new_nodes
from modelexport.rewriter.matching.evidence.values import ValueMatch
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch


@dataclass(frozen=True)
class Resolution:
    """What was found out about the nodes of a file.

    Attributes:
        graphs: What was aligned.
        paired: The recorded ops of each node that is paired with one, the last op first.
        evidence: The kind of evidence for each pair.
        regions: Nodes that are no recorded op, with the ops that they may stand for.
        reasons: Why other nodes got none.
        ambiguous: Nodes with several equal candidates, and these.
        considered: The recorded ops that were scored for each node.
        overruled: Nodes with an op of their name that computes something else, and that op.
        between: Nodes that the recorded model does not have, with the ops between which they stand.
    """

    graphs: GraphPair
    paired: Mapping[int, tuple[int, ...]]
    evidence: Mapping[int, EvidenceKind]
    regions: Mapping[int, tuple[int, ...]]
    reasons: Mapping[int, str]
    ambiguous: Mapping[int, list[ScoredOp]]
    considered: Mapping[int, list[ScoredOp]]
    overruled: Mapping[int, int]
    between: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def origins(self) -> dict[int, tuple[int, ...]]:
        """The recorded ops whose work each node does, as far as they are known."""
        return {**self.regions, **self.paired}


class NodeResolver:
    """Resolves the nodes of one file.

    Args:
        record: The record.
        file_graph, record_graph: Both graphs.
        values: What both compute, compared; None when that is not known.
        weights: What the weights of the file are.
    """

    def __init__(
        self,
        record: Record,
        file_graph: IndexedGraph,
        record_graph: IndexedGraph,
        values: ValueMatch | None = None,
        weights: WeightMatch | None = None,
    ) -> None:
        self._record = record
        self._file_graph, self._record_graph = file_graph, record_graph
        self._weights = weights or WeightMatch()
        file, recorded = self._contracted(values)
        self._graphs = GraphPair(
            file,
            recorded,
            values,
            self._weights.candidates,
            match_inputs(file_graph, record_graph, values),
            self._find_new_nodes(file, values),
            self._weights.plain,
        )

    def _find_new_nodes(self, file: GraphView, values: ValueMatch | None) -> frozenset[int]:
        """Nodes of modules that the record does not have."""
        recorded_weights = self._weights.candidates.keys() | self._weights.merged_from.keys()
        recorded_weights -= self._weights.plain
        is_recorded = (lambda _: None) if values is None else values.is_computed
        new = self._weights.new | self._weights.idle.values
        return find_new_nodes(file, new, recorded_weights, is_recorded)

    def _contracted(self, values: ValueMatch | None) -> tuple[ContractedGraph, ContractedGraph]:
        """Both graphs without the nodes that pass values through.

        In a quantised file operators tell which nodes these are, and constants that change nothing
        (a factor of one): rounding may leave nothing of one of two added values.
        """
        if values is None:
            return ContractedGraph(self._file_graph, {}), ContractedGraph(self._record_graph, {})
        if values.rejects_mismatch:
            passed = values.file.passed_values, values.record.passed_values
        else:
            passed = values.file.unchanged_values, values.record.unchanged_values
        return (
            ContractedGraph(self._file_graph, passed[0]),
            ContractedGraph(self._record_graph, passed[1]),
        )

    def resolve(
        self,
        named: Mapping[int, int],
        *,
        structure: bool,
        uncertain: frozenset[int] = frozenset(),
    ) -> Resolution:
        """Seed an alignment, let it grow, and enclose the nodes that are left.

        Args:
            named: Nodes to recorded ops of the same names.
            structure: Whether the structure of the graph may be used.
            uncertain: Nodes whose name may be that of another node in a related model.
        """
        pairs = Pairs()
        seeder = Seeder(self._graphs, pairs)
        overruled = seeder.add_named(named, uncertain)
        candidates = seeder.add_by_values()
        seeder.add_by_weights(candidates)
        seeder.add_by_call_order(candidates, self._weights.owners)
        graphs = self._calibrated(pairs)
        nearby_ops = find_nearby_ops(graphs, pairs.ops.keys() | candidates.keys())
        aligner = Aligner(graphs, pairs, candidates, nearby_ops)
        enclosed: Mapping[int, Enclosed] = {}
        if structure:
            self._grow(aligner, Seeder(graphs, pairs))
            self._resolve_pass_through(graphs, pairs)
        anchored = self._find_anchored(graphs, pairs)
        spans = self._find_spans(graphs, pairs, aligner, anchored)
        if structure:
            enclosed = {
                **self._enclose(graphs, pairs, spans, anchored),
                **self._enclose_passing(graphs, pairs),
            }
        return Resolution(
            graphs,
            {node: span.ops for node, span in spans.items()},
            pairs.evidence,
            {node: result.ops for node, result in enclosed.items() if result.ops},
            {node: result.reason for node, result in enclosed.items() if result.reason},
            aligner.ambiguous,
            aligner.considered,
            overruled,
            {node: result.between for node, result in enclosed.items() if result.between},
        )

    def _calibrated(self, pairs: Pairs) -> GraphPair:
        """The graphs, relying on values of a quantised file as far as the seeds allow."""
        values = self._graphs.values
        if values is None:
            return self._graphs
        return replace(self._graphs, values=values.calibrated(pairs.ops))

    def _grow(self, aligner: Aligner, seeder: Seeder) -> None:
        """Grow from the seeds, then from further seeds that need paired neighbours."""
        aligner.grow()
        if seeder.add_in_subgraphs(self._record.ops):
            aligner.grow()
        while seeder.add_by_position():
            aligner.grow()

    def _resolve_pass_through(self, graphs: GraphPair, pairs: Pairs) -> None:
        """Pair the auxiliary nodes, edge by edge in the graphs with every node."""
        nodes = range(len(self._file_graph))
        auxiliary = {node for node in nodes if graphs.is_auxiliary(node)}
        if auxiliary <= pairs.ops.keys():
            return
        every = replace(
            graphs, file=GraphView(self._file_graph), record=GraphView(self._record_graph)
        )
        seeds = Pairs()
        for node, op in pairs.ops.items():
            seeds.add_pair(node, op, pairs.evidence[node])
        Aligner(every, seeds, only=auxiliary).grow()
        shaping = find_shaping_nodes(graphs, seeds.ops)
        for node, op in (*seeds.ops.items(), *shaping.items()):
            if node not in pairs:
                pairs.add_pair(node, op, EvidenceKind.STRUCTURE)

    def _find_spans(
        self,
        graphs: GraphPair,
        pairs: Pairs,
        aligner: Aligner,
        anchored: Mapping[int, tuple[int, ...]],
    ) -> dict[int, Span]:
        """The recorded ops of each paired node. An auxiliary node does one op, and no more."""
        work = NodeWork(graphs, pairs.ops, aligner.spans.span, pairs.spans, anchored).find()
        spans = {}
        for node, op in pairs.ops.items():
            closed = aligner.spans.span(node, op).closed
            spans[node] = work.get(node) or Span((op,), frozenset(), closed)
        return spans

    def _enclose(
        self,
        graphs: GraphPair,
        pairs: Pairs,
        spans: Mapping[int, Span],
        anchored: Mapping[int, tuple[int, ...]],
    ) -> dict[int, Enclosed]:
        """What encloses the nodes that are left."""
        nodes = range(len(self._file_graph))
        left = [node for node in nodes if node not in pairs and not graphs.is_auxiliary(node)]
        if not left:
            return {}
        enclosure = Enclosure(graphs, pairs.ops, spans, anchored, self._weights.merged_from)
        enclosed = enclosure.enclose(left)
        for node, result in enclosed.items():
            merged = () if result.ops else self._ops_reading_merged_weights(graphs, node)
            if merged:
                enclosed[node] = Enclosed(merged)
        return enclosed

    def _enclose_passing(self, graphs: GraphPair, pairs: Pairs) -> dict[int, Enclosed]:
        """Nodes that pass a value on, where ops of one module do the same by other operators."""
        passing = find_passing_ops(graphs, pairs.ops, pairs.is_free)
        modules = {
            node: {self._record.ops[op].module for op in ops} for node, ops in passing.items()
        }
        return {
            node: Enclosed(ops)
            for node, ops in passing.items()
            if len(modules[node]) == 1 and None not in modules[node]
        }

    def _find_anchored(self, graphs: GraphPair, pairs: Pairs) -> dict[int, tuple[int, ...]]:
        """Nodes that are paired with no op, with the ops that read their weights and no others."""
        anchored = {}
        consumers = graphs.record.initializer_consumers
        for node in range(len(self._file_graph)):
            if node in pairs or graphs.is_auxiliary(node):
                continue
            weights = (graphs.weights.get(value, ()) for value in graphs.file.inputs(node))
            readers = [consumers.get(next(iter(w)), []) for w in weights if len(w) == 1]
            ops = {ops[0] for ops in readers if len(ops) == 1}
            ops.update(self._ops_reading_merged_weights(graphs, node))
            if ops:
                anchored[node] = tuple(sorted(ops))
        return anchored

    def _ops_reading_merged_weights(self, graphs: GraphPair, node: int) -> tuple[int, ...]:
        """Recorded ops that read the weights which were merged into a node's weights."""
        merged = (self._weights.merged_from.get(value, ()) for value in graphs.file.inputs(node))
        consumers = graphs.record.initializer_consumers
        parts = itertools.chain.from_iterable(merged)
        return tuple(sorted({op for part in parts for op in consumers.get(part, ())}))
