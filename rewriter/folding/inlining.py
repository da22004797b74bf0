"""Putting the nodes of functions in the place of their calls."""

from collections.abc import Iterable

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.folding.fold_graph import local_names
from modelexport.rewriter.folding.relative import Rebasing
from modelexport.rewriter.folding.renaming import renamed
from modelexport.support.unique_names import UniqueNames

_Key = tuple[str, str, str]


class Inlining:
    """Inlines calls of some functions.

    Args:
        functions: The functions.
        rebasing: Makes relative tags absolute.

    Attributes:
        calls: How many calls were inlined.
        domains: Of the functions.
        types: Types of the values inside, as the functions say; whoever wants them takes them.
    """

    def __init__(self, functions: Iterable[onnx.FunctionProto], rebasing: Rebasing) -> None:
        self._functions: dict[_Key, onnx.FunctionProto] = {}
        for function in functions:
            copy = onnx.FunctionProto()
            copy.CopyFrom(function)
            self._functions[_key(function)] = copy
        self._rebasing = rebasing
        self.calls = 0
        self.domains = {domain for domain, _, _ in self._functions}
        self.types: list[onnx.ValueInfoProto] = []
        self._value_names = UniqueNames()
        self._node_names = UniqueNames()

    def makes(self, function: onnx.FunctionProto) -> bool:
        """Whether this function is one of those to inline."""
        return _key(function) in self._functions

    def is_call(self, node: onnx.NodeProto) -> bool:
        """Whether a node calls one of them."""
        return (node.domain, node.op_type, node.overload) in self._functions

    def enter(self, graph: onnx.GraphProto | onnx.FunctionProto, taken: Iterable[str] = ()) -> None:
        """Get ready for the nodes of a graph: names are unique there, and none of the taken."""
        self._value_names = UniqueNames(_all_names(graph))
        self._node_names = UniqueNames([*(node.name for node in graph.node), *taken])

    def expanded(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """What a node is without calls: itself, or copies of all nodes that it stands for."""
        found: list[onnx.NodeProto] = []
        self._expand(node, found)
        return found

    def _expand(self, node: onnx.NodeProto, found: list[onnx.NodeProto]) -> None:
        function = self._functions.get((node.domain, node.op_type, node.overload))
        if function is None:
            found.append(node)
            return
        self.calls += 1
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        base, call = metadata.get(keys.TAG), int(metadata.get(keys.CALL, "0"))
        prefix = node.name or node.op_type
        names = dict.fromkeys(function.input, "")
        names.update(zip(function.input, node.input, strict=False))
        names.update((f, a) for f, a in zip(function.output, node.output, strict=False) if a)
        for inner in function.node:
            for output in inner.output:
                if output and output not in names:
                    wanted = f"{prefix}/{output}"
                    names[output] = self._value_names.take(wanted)
            copy = renamed(inner, names)
            copy.name = self._node_names.take(f"{prefix}/{inner.name}")
            if base is not None:
                self._rebasing.out_of(copy, base, call)
            self._expand(copy, found)
        for value in function.value_info:
            if value.name in names:
                info = onnx.ValueInfoProto()
                info.CopyFrom(value)
                info.name = names[value.name]
                self.types.append(info)


def _key(function: onnx.FunctionProto) -> _Key:
    return function.domain, function.name, function.overload


def _all_names(graph: onnx.GraphProto | onnx.FunctionProto) -> set[str]:
    if isinstance(graph, onnx.FunctionProto):
        found = {*graph.input, *(name for node in graph.node for name in node.output)}
    else:
        found = local_names(graph)
    for node in graph.node:
        for _, subgraph in subgraphs(node) if node.attribute else ():
            found |= _all_names(subgraph)
    return found
