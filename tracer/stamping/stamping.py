"""Copying the nodes of one layer of an exported graph for the layers that were left out."""

import re
from collections.abc import Collection, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.support.unique_names import UniqueNames
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.equal_runs import Block, EqualRun, paths
from modelexport.tracer.stamping.graph_ends import GraphEnds, add_values
from modelexport.tracer.stamping.layer_nodes import (
    LayerPair,
    StampingError,
    pair_layers,
)
from modelexport.tracer.stamping.layer_weights import (
    WeightOf,
    check_shared_weight,
    valueless_weight_of,
    weight_of,
)

_COUNTER = re.compile(r"_\d+$")
"""What exporters append to a name that is in use."""

_POSITION = re.compile(r"^/(\d+)(?=\.)")
"""The node of the main graph in the path of a subgraph."""


@dataclass(frozen=True)
class StampedGraph:
    """A graph with all layers.

    Attributes:
        exported: The graph.
        boundaries: For each stamped block, the names of the values that the next one reads.
    """

    exported: ExportedGraph
    boundaries: dict[Block, tuple[str, ...]]


@dataclass(frozen=True)
class _PlacedNode:
    """A node of the new graph; `origin` is its position in the old one, None for a copy."""

    node: onnx.NodeProto
    scope: Scope | None
    source_line: str | None
    origin: int | None


def stamp(
    short: ExportedGraph, run: EqualRun, call: ModelCall, taken: Collection[str] = ()
) -> StampedGraph:
    """Give an exported graph the layers of a run that were left out.

    Args:
        short: The graph. It stays as it is.
        run: The run.
        call: The call of the whole model.
        taken: Names that no copy may get.

    Raises:
        StampingError: The exported layers are not equal in the graph.
    """
    return _Stamper(short, run, call, taken).stamp()


class _Stamper:
    def __init__(
        self, short: ExportedGraph, run: EqualRun, call: ModelCall, taken: Collection[str]
    ) -> None:
        self._short = short
        self._run = run
        self._call = call
        self._model = onnx.ModelProto()
        self._model.CopyFrom(short.model)
        self._large = dict(short.weights)
        self._valueless = set(short.valueless)
        graph = self._model.graph
        template, last = paths(run.template), paths(run.last)
        ends = GraphEnds(run.own_inputs(run.last), run.own_outputs(run.last))
        self._pair: LayerPair = pair_layers(graph, short.scopes, template, last, ends)
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        self._types = {value.name: value for value in graph.value_info}
        self._weights = self._find_weights()
        names = {*taken, *call.tensors, *call.output_names}.union(
            n for node in graph.node for n in (*node.input, *node.output, node.name)
        )
        names.update(value.name for value in (*graph.input, *graph.output, *graph.initializer))
        self._names = UniqueNames(names)

    def stamp(self) -> StampedGraph:
        """The graph with all layers."""
        graph = self._model.graph
        placed = [self._place(position) for position in range(len(graph.node))]
        copies: list[_PlacedNode] = []
        before = {name: name for name in self._pair.values}  # as the layer before has them
        boundaries = {}
        for block in self._run.stamped:
            names = {v: before[w] for v, w in self._pair.links.items()}
            names |= self._copy_weights(block) | self._run.own_inputs(block)
            outputs = self._run.own_outputs(block)
            before = {name: outputs.get(name) or self._new_name(name) for name in self._pair.values}
            copies += self._copy_nodes(block, names | before)
            boundaries[block] = tuple({before[w]: None for w in self._pair.links.values()})
        for position in self._pair.second:
            _rename(placed[position].node.input, before)
        end = self._pair.first[-1] + 1
        placed[end:end] = copies
        del graph.node[:]
        graph.node.extend(item.node for item in placed)
        _check_order(graph)
        self._add_ends(graph)
        return StampedGraph(self._exported(placed), boundaries)

    def _add_ends(self, graph: onnx.GraphProto) -> None:
        """Add the inputs and outputs of the stamped blocks, with the types of the template's."""
        for block in self._run.stamped:
            for values, own, order in (
                (graph.input, self._run.own_inputs(block), [*self._call.tensors]),
                (graph.output, self._run.own_outputs(block), self._call.output_names),
            ):
                add_values(values, own, order)

    def _find_weights(self) -> dict[str, WeightOf]:
        """How the values of each initializer that belongs to the template follow from a block."""
        arrays = {name: array for path, name, array in self._short.initializers() if path == MAIN}
        weights = {}
        for v, w in self._pair.weights.items():
            if v in self._valueless and w in self._valueless:
                weights[v] = valueless_weight_of((v, w), self._run)
                continue
            values, others = arrays[v], arrays[w]
            if values is None or others is None:
                raise StampingError(f"the values of the initializer {v} are not known")
            weights[v] = weight_of(v, (values, others), self._run)
        for name in self._pair.shared:
            values = arrays.get(name)
            if values is not None and name not in self._valueless:
                check_shared_weight(name, values, self._run)
        return weights

    def _place(self, position: int) -> _PlacedNode:
        """A node of the short graph, with its position there."""
        node = onnx.NodeProto()
        node.CopyFrom(self._model.graph.node[position])
        key = NodeKey(MAIN, position)
        short = self._short
        return _PlacedNode(node, short.scopes.get(key), short.source_lines.get(key), position)

    def _copy_nodes(self, block: Block, names: Mapping[str, str]) -> Iterator[_PlacedNode]:
        """The nodes of a block.

        Args:
            block: The block.
            names: For each value that the template reads or computes, what the block has for it.
        """
        for position in self._pair.first:
            item = self._place(position)
            _rename(item.node.input, names)
            for name in item.node.output:
                self._copy_type(name, names[name] if name else "")
            _rename(item.node.output, names)
            if item.node.name:
                item.node.name = self._new_name(item.node.name)
            yield replace(item, scope=item.scope and self._moved(item.scope, block), origin=None)

    def _moved(self, scope: Scope, block: Block) -> Scope:
        """The scope in a block that a scope in the template stands for."""
        for path, call in zip(paths(self._run.template), block, strict=True):
            if f"{scope.module}.".startswith(f"{path}."):
                return replace(scope, module=call.path + scope.module[len(path) :])
        raise AssertionError(f"{scope.module} is not in the template")

    def _copy_weights(self, block: Block) -> dict[str, str]:
        """Add the initializers of a block.

        Returns:
            Their names, by those of the template's.
        """
        names = {}
        for name, values_of in self._weights.items():
            own_name, values = values_of(block)
            names[name] = self._names.take(own_name) if own_name else self._new_name(name)
            tensor = self._model.graph.initializer.add()
            tensor.CopyFrom(self._initializers[name])
            tensor.name = names[name]
            self._copy_type(name, names[name])
            if values is None:
                self._valueless.add(names[name])
            elif name in self._short.weights:
                self._large[names[name]] = values
            else:
                _set_values(tensor, values)
        return names

    def _copy_type(self, name: str, new_name: str) -> None:
        """Declare that a value has the type of another one, where that is declared."""
        if name in self._types:
            value = self._model.graph.value_info.add()
            value.CopyFrom(self._types[name])
            value.name = new_name

    def _new_name(self, name: str) -> str:
        """A name as an exporter gives it to one more value of a kind."""
        return self._names.take(_COUNTER.sub("", name))

    def _exported(self, placed: Sequence[_PlacedNode]) -> ExportedGraph:
        """The graph with the scopes and source lines of its nodes."""
        short = self._short
        scopes, lines = {}, {}
        moved: dict[int, int] = {}
        for position, item in enumerate(placed):
            if item.scope is not None:
                scopes[NodeKey(MAIN, position)] = item.scope
            if item.source_line is not None:
                lines[NodeKey(MAIN, position)] = item.source_line
            if item.origin is not None:
                moved[item.origin] = position
        for key, scope in short.scopes.items():
            if key.graph != MAIN:
                scopes[_moved(key, moved)] = scope
        for key, line in short.source_lines.items():
            if key.graph != MAIN:
                lines[_moved(key, moved)] = line
        return replace(
            short,
            model=self._model,
            weights=self._large,
            scopes=scopes,
            source_lines=lines,
            valueless=frozenset(self._valueless),
        )


def _rename(names: MutableSequence[str], new_names: Mapping[str, str]) -> None:
    names[:] = [new_names.get(name, name) for name in names]


def _set_values(tensor: onnx.TensorProto, values: Array) -> None:
    """Put the values of an array into a small initializer of its type and shape."""
    filled = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    filled.raw_data = values.tobytes()
    tensor.CopyFrom(filled)


def _moved(key: NodeKey, positions: Mapping[int, int]) -> NodeKey:
    """The address of a node in a subgraph, whose outermost node may have another position now."""
    return NodeKey(
        _POSITION.sub(lambda match: f"/{positions[int(match[1])]}", key.graph), key.position
    )


def _check_order(graph: onnx.GraphProto) -> None:
    """Check that each node reads what was computed before.

    Raises:
        StampingError: One does not.
    """
    later = {name for node in graph.node for name in node.output}
    for node in graph.node:
        if unknown := later.intersection(node.input):
            raise StampingError(f"{node.name} comes before {min(unknown)}, which it reads")
        later.difference_update(node.output)
