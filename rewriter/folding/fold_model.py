"""Folding a model: calls of modules become calls of ONNX functions.

The steps, each in a file of its own: find the calls in which each node ran (`calls_of_nodes`),
move work that calls share out of them (`hoist_shared_work`), choose the calls (`choose_calls`),
make functions of them from the inside out (`make_functions`), and write the graph
(`folded_graph`).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import onnx

from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.folding.calls_of_nodes import call_chains
from modelexport.rewriter.folding.choose_calls import choose_calls
from modelexport.rewriter.folding.fold_graph import Call, FoldGraph
from modelexport.rewriter.folding.fold_report import FoldReport
from modelexport.rewriter.folding.folded_graph import write_folded_graph
from modelexport.rewriter.folding.function_names import class_of_module
from modelexport.rewriter.folding.hoist_shared_work import hoist
from modelexport.rewriter.folding.make_functions import FunctionMaker

if TYPE_CHECKING:
    from modelexport.rewriter.matching import Decision


def fold(
    model: onnx.ModelProto,
    decisions: Iterable["Decision"],
    tagger: Tagger,
    parameters: Mapping[str, str],
    rules: FoldRules,
) -> FoldReport:
    """Make functions of a model's module calls, in place.

    Args:
        model: The annotated model; its weights may be left out.
        decisions: One for each node, in the order of `walk_nodes`.
        tagger: Knows the modules and their tags.
        parameters: Initializer name to the parameter that it holds.
        rules: What to fold.
    """
    nodes_before = len(model.graph.node)
    graph = FoldGraph(model, parameters, decisions)
    graph.set_chains(call_chains(graph, tagger.tree))
    paths = {call.path for node in graph.nodes for call in node.chain}
    class_of = {path: class_of_module(tagger.tree, path) for path in paths}
    hoisted = hoist(graph, class_of)
    chosen = choose_calls(graph, rules, class_of)
    maker = FunctionMaker(model, graph, tagger, parameters, rules, class_of)
    refused = dict(chosen.refused)
    for calls in _inside_out(graph, chosen.calls):
        refused |= maker.fold_calls(calls)
    if maker.prototypes:
        write_folded_graph(model, graph, maker.inner_constants)
    return FoldReport(
        maker.prototypes,
        nodes_before,
        len(model.graph.node),
        hoisted,
        {str(call): differs for call, differs in chosen.single.items()},
        {str(call): reason for call, reason in refused.items()},
        maker.left_out,
    )


def _inside_out(graph: FoldGraph, calls: Collection[Call]) -> list[set[Call]]:
    """Calls by how many calls are nested in them, those without nested calls first."""
    height: dict[Call, int] = dict.fromkeys(calls, 0)
    for node in graph.nodes:
        around = [call for call in node.chain if call in calls]
        for number, call in enumerate(reversed(around)):
            height[call] = max(height[call], number)
    levels = range(max(height.values(), default=-1) + 1)
    return [{call for call in calls if height[call] == level} for level in levels]
