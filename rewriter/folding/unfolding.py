"""Unfolding: functions that folding made become nodes of the graph again."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_graphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.folding.flat_snapshot import recall
from modelexport.rewriter.folding.flattening import folded_functions
from modelexport.rewriter.folding.inlining import Inlining
from modelexport.rewriter.folding.relative import Rebasing
from modelexport.rewriter.folding.restoring import Restoring
from modelexport.rewriter.matching.evidence import carried as own
from modelexport.support.error_texts import first_line


class UnfoldReport(msgspec.Struct):
    """What unfolding did.

    Attributes:
        functions: Names of the functions that are gone.
        calls: How many nodes called them.
        notes: What the user should know beyond that.
    """

    functions: list[str]
    calls: int
    notes: list[str] = []


def unfold(
    model: onnx.ModelProto, where: str, patterns: Sequence[str] = (), *, infer: bool = True
) -> UnfoldReport:
    """Inline functions that folding made, in place.

    Args:
        model: The model; its weights may be left out.
        where: The file, for messages.
        patterns: Of the names of the functions to inline (`BertLayer*`); none for all.
        infer: Whether to infer the shapes of what is inside the functions.
    """
    chosen = [
        function
        for function in folded_functions(model)
        if not patterns or any(fnmatchcase(function.name, pattern) for pattern in patterns)
    ]
    if not chosen:
        return UnfoldReport([], 0)
    names = [function.name for function in chosen]
    report = UnfoldReport(names, _Unfolding(model, chosen, where).run())
    if infer:
        _infer(model, report)
    return report


class _Unfolding:
    """One run of `unfold`."""

    def __init__(
        self, model: onnx.ModelProto, chosen: Sequence[onnx.FunctionProto], where: str
    ) -> None:
        self._model = model
        self._where = where
        self._whole = len(chosen) == len(folded_functions(model))
        self._inlining = Inlining(chosen, _rebasing(model, where))

    def run(self) -> int:
        """Inline everywhere, and take the functions out; gives how many calls there were."""
        kept = [f for f in self._model.functions if not self._inlining.makes(f)]
        for function in kept:
            if any(entry.key == keys.FUNCTION for entry in function.metadata_props):
                self._inlining.enter(function)
                nodes = [each for node in function.node for each in self._inlining.expanded(node)]
                _replace(function, nodes)
        self._main()
        messages = [f.SerializeToString() for f in kept]
        del self._model.functions[:]
        self._model.functions.extend(onnx.FunctionProto.FromString(m) for m in messages)
        used = {node.domain for place in walk_graphs(self._model) for node in place.graph.node}
        for domain in self._inlining.domains - used:
            _forget(self._model.opset_import, domain)
        return self._inlining.calls

    def _main(self) -> None:
        graph = self._model.graph
        memory = recall(self._model) if self._whole else None
        self._inlining.enter(graph, own.embedded_names(self._model, self._where))
        restoring = Restoring(graph, memory)
        for node in graph.node:
            if self._inlining.is_call(node):
                leaves = self._inlining.expanded(node)
                restoring.call(node.name, leaves, self._inlining.types)
                self._inlining.types = []
            else:
                restoring.keep(node)
        restoring.finish()


def _rebasing(model: onnx.ModelProto, where: str) -> Rebasing:
    embedded = own.embedded_tree(model, where)
    if embedded is None:
        return Rebasing(ModuleTree(()), {})
    tree = ModuleTree(embedded.modules)
    return Rebasing(tree, own.tag_paths(tree, own.embedded_rules(embedded, where)))


def _replace(graph: onnx.GraphProto | onnx.FunctionProto, nodes: list[onnx.NodeProto]) -> None:
    messages = [node.SerializeToString() for node in nodes]
    del graph.node[:]
    graph.node.extend(onnx.NodeProto.FromString(message) for message in messages)


def _forget(imports: "list[onnx.OperatorSetIdProto]", domain: str) -> None:
    for number, entry in enumerate(imports):
        if entry.domain == domain:
            del imports[number]
            return


def _infer(model: onnx.ModelProto, report: UnfoldReport) -> None:
    """Infer the shapes of values that have none."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        report.notes.append(f"the shapes inside could not be inferred ({first_line(error)})")
        return
    told = {value.name for value in model.graph.value_info}
    model.graph.value_info.extend(v for v in inferred.graph.value_info if v.name not in told)
