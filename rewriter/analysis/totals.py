"""Adding up, along the tree of tags, what nodes and weights are and cost."""

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
import onnx

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.analysis.costs import Macs, Shapes, weights_of
from modelexport.rewriter.graph.initializer_parameters import initializer_shapes
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried import Carried


class ModuleRow(msgspec.Struct):
    """One module of a file; modules that share a tag share a row.

    Attributes:
        tag: Its tag.
        path: Its module path.
        class_name: Its class, "" when the file does not say.
        depth: Steps below the root.
        own_nodes, nodes: Nodes tagged with it; and with it or what is below it.
        op_types: Of `nodes`, the most frequent first.
        own_parameters, parameters: Elements of its own parameters; and those below too.
        share: Of the model's parameters, 0 to 1.
        evidence: What settled `nodes`.
        macs, unknown_macs: Multiply-accumulates of `nodes` in one run, and of how many of them
            they are unknown.
        weight_bytes: What the stored tensors of it and of what is below take.
        activation_bytes, unknown_activations: What the values that `nodes` compute take, and how
            many have an unknown size. Constants and shapes are left out.
    """

    tag: str
    path: str
    class_name: str
    depth: int
    own_nodes: int
    nodes: int
    op_types: dict[str, int]
    own_parameters: int
    parameters: int
    share: float
    evidence: dict[str, int] = {}
    macs: int = 0
    unknown_macs: int = 0
    weight_bytes: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0


@dataclass
class Holding:
    """What nodes are and cost; adds up."""

    ops: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    macs: int = 0
    unknown_macs: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    weight_bytes: int = 0
    parameters: int = 0

    def add(self, other: "Holding") -> None:
        """Take in what another holds."""
        self.ops.update(other.ops)
        self.evidence.update(other.evidence)
        self.macs += other.macs
        self.unknown_macs += other.unknown_macs
        self.activation_bytes += other.activation_bytes
        self.unknown_activations += other.unknown_activations
        self.weight_bytes += other.weight_bytes
        self.parameters += other.parameters


class Rows:
    """Adds up nodes, parameters and costs along the tree of tags.

    Args:
        model: The model.
        graph: Its nodes, and how they depend on each other.
        carried: Its hierarchy; without one there are totals and no rows.
        shapes: Of its values.
        op_types: Operators to count; all when there are none.

    Attributes:
        total: Of all nodes, whether they have a tag or not.
        weight_bytes: Of all stored tensors.
        parameters: Of the whole model.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        graph: ModelGraph,
        carried: Carried | None,
        shapes: Shapes,
        op_types: Collection[str] = (),
    ) -> None:
        self._model, self._graph, self._carried = model, graph, carried
        self._shapes, self._macs = shapes, Macs(shapes)
        self._chosen = frozenset(op_types)
        self._tree = ModuleTree(() if carried is None else carried.modules)
        self._own: dict[str, Holding] = {}
        self._first: dict[str, Module] = {}
        self.total = Holding()
        self._tagger: Tagger | None = None
        if carried is not None:
            self._tagger = Tagger(self._tree, carried.rules)
            self._count_parameters(self._tagger)
        self._count_nodes()
        self.weight_bytes = self._count_weights()
        held = sum(holding.parameters for holding in self._own.values())
        self.parameters = held if carried is not None else _elements(model)

    def _at(self, tag: str) -> Holding:
        return self._own.setdefault(tag, Holding())

    def _count_parameters(self, tagger: Tagger) -> None:
        for module in self._tree:
            if module.alias_of is None:
                tag = tagger.tag(module.path)
                self._first.setdefault(tag, module)
                self._at(tag).parameters += sum(p.size for p in module.parameters)
        if not any(holding.parameters for holding in self._own.values()):
            for name, shape in initializer_shapes(self._model).items():
                path = name.rpartition(".")[0]  # without recorded parameters: as it is named
                if path in self._tree:
                    self._at(tagger.tag(path)).parameters += math.prod(shape)

    def _modules(self) -> list[str | None]:
        claims = {} if self._carried is None else self._carried.claims.by_node
        found = (claims.get(key) for key in self._graph.keys)
        return [None if claim is None else claim.module for claim in found]

    def _count_nodes(self) -> None:
        claims = {} if self._carried is None else self._carried.claims.by_node
        for number, key in enumerate(self._graph.keys):
            if self._chosen and op_type(self._graph.nodes[number]) not in self._chosen:
                continue
            one = self._node(number)
            claim = claims.get(key)
            if claim is not None and self._tagger is not None:
                one.evidence[str(claim.kind)] += 1
                self._at(self._tagger.tag(claim.module)).add(one)
            self.total.add(one)

    def _node(self, number: int) -> Holding:
        key, node = self._graph.keys[number], self._graph.nodes[number]
        found = Holding(Counter({op_type(node): 1}))
        macs = self._macs.of(key, node)
        found.macs, found.unknown_macs = macs or 0, int(macs is None)
        if not self._graph.derived[number]:
            sizes = [self._shapes.bytes(key.graph, name) for name in node.output if name]
            found.activation_bytes = sum(filter(None, sizes))
            found.unknown_activations = sizes.count(None)
        return found

    def _count_weights(self) -> int:
        said = {} if self._carried is None else self._carried.parameters
        every = weights_of(self._model, self._graph, self._tree, self._modules(), said)
        for weight in every:
            if weight.module is not None and self._tagger is not None:
                self._at(self._tagger.tag(weight.module)).weight_bytes += weight.bytes or 0
        return sum(weight.bytes or 0 for weight in every)

    def rows(self) -> list[ModuleRow]:
        """The rows that hold something, in the order of the modules."""
        if self._tagger is None:
            return []
        root = self._tagger.tag("")
        sums = {tag: Holding() for tag in self._first}
        for tag, own in self._own.items():
            for above in upwards(tag, root):
                sums.setdefault(above, Holding()).add(own)
        total = sums[root].parameters
        return [
            self._row(tag, root, sums[tag], total)
            for tag in _parents_first(self._first, root)
            if tag == root or self._shown(sums[tag])
        ]

    def _shown(self, held: Holding) -> bool:
        if self._chosen:
            return bool(held.ops)
        return bool(held.ops or held.parameters or held.weight_bytes)

    def _row(self, tag: str, root: str, held: Holding, total: int) -> ModuleRow:
        module, own = self._first[tag], self._own.get(tag, Holding())
        return ModuleRow(
            tag=tag,
            path=module.path,
            class_name=module.class_name,
            depth=len(upwards(tag, root)) - 1,
            own_nodes=own.ops.total(),
            nodes=held.ops.total(),
            op_types=dict(held.ops.most_common()),
            own_parameters=own.parameters,
            parameters=held.parameters,
            share=held.parameters / total if total else 0.0,
            evidence=dict(held.evidence.most_common()),
            macs=held.macs,
            unknown_macs=held.unknown_macs,
            weight_bytes=held.weight_bytes,
            activation_bytes=held.activation_bytes,
            unknown_activations=held.unknown_activations,
        )


def _elements(model: onnx.ModelProto) -> int:
    return sum(map(math.prod, initializer_shapes(model).values()))


def upwards(tag: str, root: str) -> list[str]:
    """A tag and the tags above it, the root's last."""
    found = [tag]
    while tag != root:
        tag = tag.rpartition("/")[0] or root
        found.append(tag)
    return found


def _parents_first(tags: dict[str, Module], root: str) -> list[str]:
    """Tags so that each is followed by all that is below it."""
    children: dict[str, list[str]] = {}
    for tag in tags:
        if tag != root:
            parent = next((above for above in upwards(tag, root)[1:] if above in tags), root)
            children.setdefault(parent, []).append(tag)
    found: list[str] = []
    waiting = [root]
    while waiting:
        tag = waiting.pop()
        found.append(tag)
        waiting.extend(reversed(children.get(tag, [])))
    return found
