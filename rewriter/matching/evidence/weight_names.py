"""Names of weights, where a file carries no other hierarchy: `encoder.layer.0.query.weight`."""

import math
from collections.abc import Mapping

import onnx

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import MAIN, walk_graphs
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.graph.graph_view import ContractedGraph
from modelexport.rewriter.graph.initializer_parameters import initializer_shapes
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    WEIGHT_NAMES,
    CarriedHierarchy,
    tree_of_paths,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.third_party_names import weight_owners


def read_weight_names(model: onnx.ModelProto, graph: ModelGraph) -> CarriedHierarchy | None:
    """The module of each node that reads weights which are called like parameters."""
    # a weight may be transposed, cast or dequantised on its way
    contracted = ContractedGraph(graph.indexed, {})
    owners = _owners(graph)
    tied = _tied_weights(model, contracted, owners)
    claims = Claims()
    for node, key in enumerate(graph.keys):
        weights = [value for value in contracted.inputs(node) if value in owners]
        paths = tuple(sorted({owners[value] for value in weights if value not in tied}))
        if not weights:
            claims.reasons[key] = "it reads no weight whose name tells a module"
        elif not paths:
            claims.reasons[key] = "the weight that it reads may be tied, so its name tells nothing"
        elif not contracted.pass_through[node]:
            claims.by_node[key] = _claim(paths)
    if not claims.by_node:
        return None
    tree = tree_of_paths(sorted(weight_owners(model)), {}, model.graph.name)
    return CarriedHierarchy(WEIGHT_NAMES, Tagger(tree), claims)


def _owners(graph: ModelGraph) -> dict[int, str]:
    """The module path in the name of each initializer that is called like a parameter."""
    indexed = graph.indexed
    parts = {v: indexed.value_names[v][1].rpartition(".") for v in indexed.initializers}
    return {v: path for v, (path, _, name) in parts.items() if path and name.isidentifier()}


def _tied_weights(
    model: onnx.ModelProto, contracted: ContractedGraph, owners: Mapping[int, str]
) -> set[int]:
    """Weights that may belong to another module: several nodes read them, or a copy of them.

    If an exporter transposes a tied matrix for one of its readers, it makes a copy with a new name.
    The copy is recognised by its size.
    """
    tied = {value for value in owners if len(contracted.consumers(value)) > 1}
    graph, shapes = contracted.graph, initializer_shapes(walk_graphs(model))
    unnamed_sizes = {
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) > 1 and graph.value_of(MAIN, name) not in owners
    }
    for value in owners:
        shape = shapes.get(graph.value_names[value][1], ())
        if len(shape) > 1 and math.prod(shape) in unnamed_sizes:
            tied.add(value)
    return tied


def _claim(paths: tuple[str, ...]) -> Claim:
    if len(paths) == 1:
        return Claim(paths[0], EvidenceKind.CARRIED)
    ancestor = tree_of_paths(paths, {}, "").common_ancestor(paths)
    return Claim(ancestor, EvidenceKind.CARRIED, paths)
