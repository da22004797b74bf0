"""Putting the nodes of functions in the place of their calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx

from modelexport.hierarchy import keys
from modelexport.rewriter.folding.relative_tags import TagRebaser
from modelexport.rewriter.folding.renamed_copy import renamed_copy
from modelexport.rewriter.graph.subgraph_names import names_in_use
from modelexport.support.unique_names import UniqueNames

FunctionKey = tuple[str, str, str]
"""Domain, name and overload of a function."""


@dataclass
class InlinedCall:
    """What stands in the place of one call.

    Attributes:
        nodes: Copies of the nodes that the call stands for, those of nested calls included.
        types: Types of the values that these make, as the functions give them.
        calls: How many calls were inlined: this one and those nested in it.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    types: list[onnx.ValueInfoProto] = field(default_factory=list)
    calls: int = 0


class CallInliner:
    """Inlines calls of some functions in one graph.

    Args:
        functions: The functions.
        rebaser: Makes relative tags absolute.
        graph: The graph. New names of values and nodes are unique in it.
        taken: More names that new values and nodes must not have.
    """

    def __init__(
        self,
        functions: Iterable[onnx.FunctionProto],
        rebaser: TagRebaser,
        graph: onnx.GraphProto | onnx.FunctionProto,
        taken: Iterable[str] = (),
    ) -> None:
        self._functions = {function_key(function): function for function in functions}
        self._rebaser = rebaser
        self._value_names = UniqueNames([*names_in_use(graph), *taken])
        self._node_names = UniqueNames([*(node.name for node in graph.node), *taken])

    def is_call(self, node: onnx.NodeProto) -> bool:
        """Whether a node calls one of the functions."""
        return (node.domain, node.op_type, node.overload) in self._functions

    def inline(self, call: onnx.NodeProto) -> InlinedCall:
        """Inline one call, and the calls nested in it."""
        inlined = InlinedCall()
        self._inline(call, inlined)
        return inlined

    def _inline(self, node: onnx.NodeProto, inlined: InlinedCall) -> None:
        function = self._functions.get((node.domain, node.op_type, node.overload))
        if function is None:
            inlined.nodes.append(node)
            return
        inlined.calls += 1
        metadata = {entry.key: entry.value for entry in node.metadata_props}
        tag, call_number = (
            metadata.get(keys.TAG),
            keys.read_call_number(metadata.get(keys.CALL, "0")) or 0,
        )
        prefix = node.name or node.op_type
        names = _names_of_call(node, function)
        for inner in function.node:
            for output in inner.output:
                if output and output not in names:
                    names[output] = self._value_names.take(f"{prefix}/{output}")
            copy = renamed_copy(inner, names)
            copy.name = self._node_names.take(f"{prefix}/{inner.name}")
            if tag is not None:
                self._rebaser.make_absolute(copy, tag, call_number)
            self._inline(copy, inlined)
        inlined.types += _renamed_types(function, names)


def _names_of_call(call: onnx.NodeProto, function: onnx.FunctionProto) -> dict[str, str]:
    """Names in the graph of a function's inputs and outputs; omitted inputs become ""."""
    names = dict.fromkeys(function.input, "")
    names.update(zip(function.input, call.input, strict=False))
    pairs = zip(function.output, call.output, strict=False)
    names.update((formal, actual) for formal, actual in pairs if actual)
    return names


def _renamed_types(
    function: onnx.FunctionProto, names: dict[str, str]
) -> list[onnx.ValueInfoProto]:
    renamed = []
    for value in function.value_info:
        if value.name in names:
            copy = onnx.ValueInfoProto()
            copy.CopyFrom(value)
            copy.name = names[value.name]
            renamed.append(copy)
    return renamed


def function_key(function: onnx.FunctionProto) -> FunctionKey:
    """What a call refers to a function by."""
    return function.domain, function.name, function.overload
