"""The nodes of a file, rewired: each module reads other values in place of some of its inputs.

Where a module reads a value through operators that recast it (a cast, a quantiser), it gets a copy
of these operators, which reads the other value.
"""

from collections.abc import Callable, Mapping

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.comparison.quantisation.module_groups import Group, ModuleGroups

Replace = Callable[[str], str | None]
"""The value that replaces another one; None to read the original."""


class RewiredNodes:
    """Writes the nodes of a file with other inputs.

    Args:
        groups: The groups of its nodes.
        replace: The values that take the place of others, for readers outside the group that
            computes them.
        replace_dequantised: The same for readers of the real numbers that a value of integers
            stands for.
        replace_quantised: The same for readers of a quantiser's output, if nothing else reads the
            quantiser's input; None to read a copy of the quantiser instead.
        nodes: The nodes to write, with their names changed as `prefix` says.
        prefix: What stands before all names of these nodes.
        replace_inside: The values that take the place of others for readers of the group that
            computes them. Where it has none, these read what a quantiser made of their values
            through a copy of the quantiser.
    """

    def __init__(
        self,
        groups: ModuleGroups,
        replace: Replace,
        replace_dequantised: Replace,
        nodes: list[onnx.NodeProto],
        prefix: str = "",
        replace_quantised: Replace = lambda _: None,
        replace_inside: Replace = lambda _: None,
    ) -> None:
        self._groups, self._graph = groups, groups.graph
        self._replace, self._replace_dequantised = replace, replace_dequantised
        self._replace_quantised, self._replace_inside = replace_quantised, replace_inside
        self._quantised = groups.quantised.by_real
        self._sources, self._prefix = nodes, prefix
        self._resolved: dict[tuple[str, Group], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        for position, group in enumerate(groups.of):
            if group is None:
                self.nodes.append(nodes[position])
            else:
                reads = self._graph.reads[position]
                names = {name: self.resolve(name, group) for name in reads}
                self.nodes.append(self._reading(nodes[position], names))

    def resolve(self, name: str, group: Group) -> str:
        """What a group reads in place of a value."""
        resolved = self._resolved
        pending = [] if (name, group) in resolved else [name]
        while pending:  # operators that recast a value may follow each other by thousands
            key = pending[-1], group
            reads = [] if key in resolved else self._recast_from(*key)
            if missing := [read for read in reads if (read, group) not in resolved]:
                pending += missing
                continue
            if key not in resolved:
                resolved[key] = self._find(*key)
            pending.pop()
        return resolved[name, group]

    def _recast_from(self, name: str, group: Group) -> list[str]:
        """What an operator reads that recasts a value and is copied for a group."""
        if self._groups.is_shared(name):
            return []
        position = self._graph.producer[name]
        copied = self._groups.of[position] is None and self._dequantised(position, group) is None
        return list(self._graph.reads[position]) if copied else []

    def _find(self, name: str, group: Group) -> str:
        if self._groups.is_shared(name):
            return self._prefix + name
        position = self._graph.producer[name]
        producer = self._groups.of[position]
        if producer is None:
            return self._dequantised(position, group) or self._recast(position, name, group)
        if producer == group:
            return self._replace_inside(name) or self._prefix + name
        return self._replace(name) or self._prefix + name

    def _dequantised(self, position: int, group: Group) -> str | None:
        """What a group reads in place of the real numbers of another group's integers."""
        node = self._graph.nodes[position]
        if node.op_type != "DequantizeLinear" or not node.input:
            return None
        if (value := self._quantised.get(node.output[0])) is not None:
            inside = self._groups.producer_group(value.name) == group
            return (self._replace_inside if inside else self._replace_quantised)(value.name)
        producer = self._groups.producer_group(node.input[0])
        return None if producer in {None, group} else self._replace_dequantised(node.input[0])

    def _recast(self, position: int, name: str, group: Group) -> str:
        """A copy, for one group, of an operator that recasts a value; returns its output."""
        source, original = self._sources[position], self._graph.nodes[position]
        names = {read: self.resolve(read, group) for read in self._graph.reads[position]}
        copy = self._reading(source, names)
        suffix = f"/for/{group.key}@{group.call}"
        copy.name = f"{copy.name}{suffix}" if copy.name else ""
        for index, output in enumerate(original.output):
            if output:
                copy.output[index] = self._prefix + output + suffix
                self._resolved[output, group] = copy.output[index]
        self.nodes.append(copy)
        return self._resolved[name, group]

    def _reading(self, node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
        """A copy of a node that reads other values."""
        changed = {
            self._prefix + name: new for name, new in names.items() if new != self._prefix + name
        }
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if changed:
            _replace_reads(copy, changed)
        return copy


def _replace_reads(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let a node and its subgraphs read other values; names are not defined twice in a model."""
    for index, name in enumerate(node.input):
        node.input[index] = names.get(name, name)
    for _, subgraph in subgraphs(node):
        for inner in subgraph.node:
            _replace_reads(inner, names)
        for output in subgraph.output:
            output.name = names.get(output.name, output.name)
