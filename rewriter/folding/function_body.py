"""Writing the body of a function, from calls that have one structure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.tags import escape, path_steps
from modelexport.rewriter.folding.flat_snapshot import OriginalNode
from modelexport.rewriter.folding.fold_graph import FoldGraph, FoldNode
from modelexport.rewriter.folding.function_inputs import (
    FunctionInputs,
    InnerConstant,
    InputChooser,
    StructuredCall,
)
from modelexport.rewriter.folding.function_notes import write_constant_note
from modelexport.rewriter.folding.relative_tags import TagRebaser
from modelexport.rewriter.folding.renamed_copy import renamed_copy
from modelexport.support.unique_names import UniqueNames


@dataclass(frozen=True)
class FoldContext:
    """What all functions of a model are made from.

    Attributes:
        graph: The graph.
        parameters: Initializer name to the parameter that it holds.
        types: Value infos of the graph by name.
        rebaser: Makes tags relative to the module.
    """

    graph: FoldGraph
    parameters: Mapping[str, str]
    types: Mapping[str, onnx.ValueInfoProto]
    rebaser: TagRebaser


@dataclass(frozen=True)
class FunctionBody:
    """A function that has no name yet, and what its calls need.

    Attributes:
        function: The function.
        actuals: For each call, the values that it passes.
        originals: For each call, what its nodes were, in the order of the function.
        inner_constants: Constants of the graph that stand inside the function.
    """

    function: onnx.FunctionProto
    actuals: list[list[str]]
    originals: list[list[OriginalNode]]
    inner_constants: set[str]


def function_body(
    context: FoldContext, calls: list[StructuredCall], tag: str, used_by_others: Collection[str]
) -> FunctionBody:
    """Write the function of some calls.

    Args:
        context: What all functions are made from.
        calls: The calls. The first one gives the names.
        tag: Tag of the first call's module.
        used_by_others: Constants of the graph that other functions have inside already.
    """
    names = UniqueNames()
    chooser = InputChooser(context.graph, calls, context.parameters, names, used_by_others)
    inputs = chooser.choose()
    writer = _BodyWriter(context, calls, inputs, names, tag)
    writer.write()
    return FunctionBody(writer.function, inputs.actuals, writer.originals, inputs.inner_constants)


class _BodyWriter:
    """Writes one function."""

    def __init__(
        self,
        context: FoldContext,
        calls: list[StructuredCall],
        inputs: FunctionInputs,
        names: UniqueNames,
        tag: str,
    ) -> None:
        self._context = context
        self._call = calls[0].call
        self._tag = tag
        self._structures = [call.structure for call in calls]
        self._first = calls[0].structure
        self._inputs = inputs
        self._unique_names = names
        self._unique_node_names = UniqueNames(c.name for c in inputs.constants.values())
        self._names = {name: constant.name for name, constant in inputs.constants.items()}
        self.function = onnx.FunctionProto()
        self.originals: list[list[OriginalNode]] = [[] for _ in calls]

    def write(self) -> None:
        """Write everything except the name, the operator sets and the note."""
        self.function.input.extend(self._inputs.formals)
        for constant in self._inputs.constants.values():
            self._write_constant(constant)
        self._name_values()
        for number, node in enumerate(self._first.nodes):
            self._write_node(number, node)
        self.function.output.extend(self._names[name] for name in self._first.outputs)
        self._write_types()

    def _write_constant(self, inner: InnerConstant) -> None:
        constants = [self._context.graph.constants[name] for name in inner.column]
        node = self.function.node.add()
        node.CopyFrom(constants[0].node)
        node.name = node.output[0] = inner.name
        self._keep_common(node, [constant.node for constant in constants])
        for originals, constant in zip(self.originals, constants, strict=True):
            originals.append(constant.original)
        if inner.note is not None:
            write_constant_note(node, inner.note)

    def _name_values(self) -> None:
        """Name what the nodes make: by module and operator, or as an output of the module."""
        outputs = set(self._first.outputs)
        for node in self._first.nodes:
            path = node.path_within(self._call.path)
            for place, name in enumerate(node.proto.output):
                if not name:
                    continue
                last = "output" if name in outputs else node.proto.op_type
                if place and name not in outputs:
                    last += f".{place}"
                self._names[name] = self._unique_names.take(".".join(filter(None, [path, last])))

    def _write_node(self, number: int, node: FoldNode) -> None:
        sources = self._inputs.sources
        own_inputs = len(node.proto.input)
        names = self._names
        if len(node.inputs) > own_inputs:  # its subgraphs capture values
            names = dict(names)
            for place in range(own_inputs, len(node.inputs)):
                if (number, place) in sources:
                    names[node.inputs[place]] = sources[number, place]
        written = renamed_copy(node.proto, names)
        for place, name in enumerate(node.proto.input):
            if (number, place) in sources:
                written.input[place] = sources[number, place]
            elif name:
                written.input[place] = self._names[name]
        written.name = self._unique_node_names.take(self._node_name(node))
        self._keep_common(written, [s.nodes[number].proto for s in self._structures])
        self.function.node.append(written)
        for originals, structure in zip(self.originals, self._structures, strict=True):
            originals.extend(structure.nodes[number].originals)

    def _node_name(self, node: FoldNode) -> str:
        """The path within the module, and the operator unless the node is the module's call."""
        path = [escape(step) for step in path_steps(node.path_within(self._call.path))]
        last = [] if node.is_call and path else [node.proto.op_type]
        return "/".join([*path, *last])

    def _keep_common(self, written: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
        """Keep the metadata and doc strings that all calls share; make tags relative.

        Args:
            written: The node in the function, a copy of the first of the nodes.
            nodes: The same node in each of the calls.
        """
        others = [{e.key: e.value for e in node.metadata_props} for node in nodes[1:]]
        shared = [
            (entry.key, entry.value)
            for entry in written.metadata_props
            if entry.key.startswith(keys.OWN_PREFIX)
            or entry.key in keys.SHARED_KEYS
            or all(entries.get(entry.key) == entry.value for entries in others)
        ]
        del written.metadata_props[:]
        for key, value in shared:
            written.metadata_props.add(key=key, value=value)
        if any(node.doc_string != written.doc_string for node in nodes):
            written.ClearField("doc_string")
        self._context.rebaser.make_relative(written, self._tag, self._call.number)

    def _write_types(self) -> None:
        """Write types and shapes of the values inside that all calls agree on."""
        for number, node in enumerate(self._first.nodes):
            for place, name in enumerate(node.proto.output):
                if not name:
                    continue
                values = [s.nodes[number].proto.output[place] for s in self._structures]
                types = [self._context.types.get(value) for value in values]
                first = types[0]
                if first is None or any(t is None or t.type != first.type for t in types):
                    continue
                info = self.function.value_info.add()
                info.CopyFrom(first)
                info.name = self._names[name]
