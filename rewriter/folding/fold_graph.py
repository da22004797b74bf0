"""The main graph while it is folded: a group of nodes can be replaced by one call.

Three kinds of nodes are not nodes of this graph, but values that its nodes read:

- Constants, whether initializers or Constant nodes. A function that needs one gets its own copy.
- Identity nodes that give a weight another name: the copy counts as a weight. Exporters write
  them if several weights are equal.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.rewriter.folding.constants import (
    Constant,
    constant_of_initializer,
    constant_of_node,
    is_small,
)
from modelexport.rewriter.folding.flat_snapshot import OriginalNode, snapshot
from modelexport.rewriter.graph.subgraph_names import captured_names, initializer_names

if TYPE_CHECKING:
    from modelexport.rewriter.matching import Decision


class Call(NamedTuple):
    """One call of a module.

    Attributes:
        path: The module's path.
        number: Which of the module's calls, from 0.
    """

    path: str
    number: int

    def __str__(self) -> str:
        """The path, with the number of a second or later call."""
        return f"{self.path} (call {self.number})" if self.number else self.path


Chain = tuple[Call, ...]
"""The calls in which a node ran, the outermost first, without the call of the root."""


@dataclass(eq=False)
class FoldNode:
    """A node of the main graph, or the call of a function that replaced some nodes.

    Attributes:
        proto: The node itself.
        position: Its position in the file; of a call, the position of its last node.
        inputs: Values that it reads: its inputs, then the values that its subgraphs capture.
            An omitted input is "".
        module: Path of its module; None if unknown.
        call_number: In which call of its module it ran; None if unknown.
        chain: The calls in which it ran.
        originals: What it was in the file; of a call, what each node inside was.
        is_call: Whether it is a call of a function that folding made.
        replaced: Whether a call has replaced it.
        outputs: Values that it makes, without omitted ones.
    """

    proto: onnx.NodeProto
    position: int
    inputs: list[str]
    module: str | None = None
    call_number: int | None = None
    chain: Chain = ()
    originals: list[OriginalNode] = field(default_factory=list)
    is_call: bool = False
    replaced: bool = False
    outputs: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.outputs = [name for name in self.proto.output if name]

    def path_within(self, path: str) -> str:
        """The path of its module relative to another module; "" if it is not inside that."""
        if not self.module or not is_within(self.module, path):
            return ""
        return self.module[len(path) + 1 :]


class FoldGraph:
    """The main graph.

    Args:
        model: The model.
        parameters: Initializers that hold parameters of the model. They are never constants.
        decisions: The modules of the model's nodes.

    Attributes:
        nodes: The nodes, in an order in which they can run.
        constants: The constants by name.
        weights: Names of all values that hold weights.
        outside: The nodes that are only values here, with their positions, by their output.
        inputs, outputs: Names of the graph's inputs and outputs.
        producer, consumers: The nodes that make and use each value.
    """

    def __init__(
        self, model: onnx.ModelProto, parameters: Iterable[str], decisions: Iterable["Decision"]
    ) -> None:
        graph = model.graph
        self.outputs = {value.name for value in graph.output}
        self.inputs = {value.name for value in graph.input}
        self.weights = initializer_names(graph)
        self.constants: dict[str, Constant] = {}
        self.outside: dict[str, tuple[onnx.NodeProto, int]] = {}
        self.nodes: list[FoldNode] = []
        self.producer: dict[str, FoldNode] = {}
        self.consumers: dict[str, list[FoldNode]] = {}
        never_constant = set(parameters) | self.inputs
        for position, initializer in enumerate(graph.initializer):
            if initializer.name not in never_constant and is_small(initializer):
                constant = constant_of_initializer(initializer, position)
                self.constants[initializer.name] = constant
        decision_at = {d.position: d for d in decisions if not d.graph}
        for position, node in enumerate(graph.node):
            if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS and node.output:
                self.constants[node.output[0]] = constant_of_node(node, position)
                self.outside[node.output[0]] = node, position
            elif self._renames_weight(node):
                self.weights.add(node.output[0])
                self.outside[node.output[0]] = node, position
            else:
                self._add(_new_node(node, position, decision_at[position]))
        self._check_can_run(graph)

    def _check_can_run(self, graph: onnx.GraphProto) -> None:
        """Refuse a graph in which values have several sources, or nodes read each other."""
        sources = Counter(name for node in graph.node for name in node.output if name)
        sources.update(self.inputs | initializer_names(graph))
        name, times = max(sources.items(), key=lambda item: item[1], default=("", 0))
        if times > 1:
            raise UsageError(
                f"{times} values of the file have the name {name!r}: it cannot run, and no "
                "functions can be made of it. Export it again."
            )
        if len(_in_run_order(self.nodes, self.producers_of)) < len(self.nodes):
            raise UsageError(
                "nodes of the file read each other in a circle: it has no order in which it can "
                "run, and no functions can be made of it."
            )

    def _renames_weight(self, node: onnx.NodeProto) -> bool:
        """Whether a node only gives a weight another name."""
        whole = len(node.input) == len(node.output) == 1
        if node.op_type != "Identity" or node.domain not in DEFAULT_DOMAINS or not whole:
            return False
        name = node.input[0]
        is_weight = name in self.weights and name not in self.inputs and name not in self.constants
        return is_weight and node.output[0] not in self.outputs

    def _add(self, node: FoldNode) -> None:
        """Add a node after all others."""
        self.nodes.append(node)
        self.producer.update((name, node) for name in node.outputs)
        for name in dict.fromkeys(filter(None, node.inputs)):
            self.consumers.setdefault(name, []).append(node)

    def replace(self, group: list[FoldNode], call: FoldNode) -> None:
        """Replace nodes by the call of a function; `remove_replaced` must follow."""
        replaced = set(map(id, group))
        for node in group:
            for name in node.outputs:
                self.producer.pop(name, None)
            for name in set(filter(None, node.inputs)):
                self.consumers[name] = [c for c in self.consumers[name] if id(c) not in replaced]
            node.replaced = True
        self._add(call)

    def remove_replaced(self) -> None:
        """Remove the replaced nodes, and bring the others into an order in which they can run."""
        remaining = [node for node in self.nodes if not node.replaced]
        self.nodes = _in_run_order(remaining, self.producers_of)
        assert len(self.nodes) == len(remaining), "the calls form a cycle"

    def set_chains(self, chains: Mapping[int, Chain]) -> None:
        """Set the calls in which each node ran.

        Args:
            chains: By identity of a node.
        """
        for node in self.nodes:
            node.chain = chains[id(node)]

    def move(self, nodes: Iterable[FoldNode], chain: Chain) -> None:
        """Move nodes into other calls."""
        for node in nodes:
            node.chain = chain

    def producers_of(self, node: FoldNode) -> Iterator[FoldNode]:
        """The nodes that make what a node reads."""
        for name in node.inputs:
            producer = self.producer.get(name)
            if producer is not None:
                yield producer

    def consumers_of(self, node: FoldNode) -> Iterator[FoldNode]:
        """The nodes that read what a node makes."""
        for name in node.outputs:
            yield from self.consumers.get(name, ())

    @property
    def depth(self) -> int:
        """Number of calls in the longest chain."""
        return max((len(node.chain) for node in self.nodes), default=0)

    def calls_at(self, depth: int) -> dict[Call, list[FoldNode]]:
        """The nodes of every call at one depth, in the order of the graph."""
        calls: dict[Call, list[FoldNode]] = {}
        for node in self.nodes:
            if len(node.chain) > depth:
                calls.setdefault(node.chain[depth], []).append(node)
        return calls


def _new_node(proto: onnx.NodeProto, position: int, decision: "Decision") -> FoldNode:
    return FoldNode(
        proto,
        position,
        [*proto.input, *captured_names(proto)],
        decision.module,
        decision.call,
        originals=[snapshot(proto, position)],
    )


def _in_run_order(
    nodes: list[FoldNode], producers_of: Callable[[FoldNode], Iterable[FoldNode]]
) -> list[FoldNode]:
    """Nodes in an order in which they can run; by position where that leaves a choice.

    Nodes of a circle, and those that read what it computes, are left out.
    """
    waiting_for: dict[int, int] = {}
    consumers: dict[int, list[FoldNode]] = {}
    ready: list[tuple[int, int, FoldNode]] = []
    for node in nodes:
        producers = {id(producer): producer for producer in producers_of(node)}
        waiting_for[id(node)] = len(producers)
        for producer in producers:
            consumers.setdefault(producer, []).append(node)
        if not producers:
            heapq.heappush(ready, (node.position, id(node), node))
    ordered: list[FoldNode] = []
    while ready:
        node = heapq.heappop(ready)[2]
        ordered.append(node)
        for consumer in consumers.get(id(node), ()):
            waiting_for[id(consumer)] -= 1
            if not waiting_for[id(consumer)]:
                heapq.heappush(ready, (consumer.position, id(consumer), consumer))
    return ordered
