"""The main graph of a model on the bench: nodes that can be taken out and put in.

Constants are no items here, whether initializers or Constant nodes: who uses one says so in
its inputs, and a function that needs it gets its own. Nor are Identity nodes that give a weight
another name (exporters write these where several weights are equal): the copy is a weight too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.hierarchy.keys import TAG_ATTRIBUTE
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.rewriter.folding.flat_snapshot import Was, was


class Call(NamedTuple):
    """One call of a module.

    Attributes:
        path: The module's path.
        number: Which of its calls, from 0.
    """

    path: str
    number: int


Chain = tuple[Call, ...]
"""The calls that a node ran in, the outermost first; the root's is left out."""


@dataclass(eq=False)
class Item:
    """A node of the main graph, or the call of a function that some of them became.

    Attributes:
        node: The message.
        position: Where it stood in the file; of a call, where its last node stood.
        inputs: Values that it reads: its inputs, then what its subgraphs capture.
        chain: The calls that it ran in.
        module: Path of its module; None when unknown.
        call: Which call of its module it ran in; None when unknown.
        history: What it was in the file; of a call, what each node inside was.
        is_call: Whether it is the call of a function that folding made.
        gone: Whether a call has taken its place.
    """

    node: onnx.NodeProto
    position: int
    inputs: list[str]
    chain: Chain = ()
    module: str | None = None
    call: int | None = None
    history: list[Was] = field(default_factory=list)
    is_call: bool = False
    gone: bool = False


@dataclass(frozen=True)
class Constant:
    """A value that is known without running anything.

    Attributes:
        node: The Constant node that makes it, or would make it.
        is_node: Whether the file has it as a node, not as an initializer.
        content: Equal for equal values.
        history: What it was in the file.
    """

    node: onnx.NodeProto
    is_node: bool
    content: bytes
    history: Was


class Bench:
    """The main graph.

    Args:
        model: The model.
        parameters: Initializers that hold parameters of the model: never constants.

    Attributes:
        items: The nodes.
        constants: Known values by name.
        weights: Names of all that holds weights.
        aside: Nodes that are no items, with their positions, by what they make.
        inputs, outputs: Of the graph.
        producer, consumers: Which items make and use a value.
    """

    def __init__(self, model: onnx.ModelProto, parameters: Iterable[str]) -> None:
        graph = model.graph
        self.outputs = {value.name for value in graph.output}
        self.inputs = {value.name for value in graph.input}
        self.weights = {w.name for w in graph.initializer}
        self.weights |= {w.values.name for w in graph.sparse_initializer}
        self.constants: dict[str, Constant] = {}
        self.aside: dict[str, tuple[onnx.NodeProto, int]] = {}
        self.items: list[Item] = []
        self.producer: dict[str, Item] = {}
        self.consumers: dict[str, list[Item]] = {}
        held = set(parameters) | self.inputs
        for number, weight in enumerate(graph.initializer):
            if weight.name not in held and _is_small(weight):
                self.constants[weight.name] = _of_weight(weight, number)
        for position, node in enumerate(graph.node):
            if node.op_type == "Constant" and node.domain in DEFAULT_DOMAINS:
                self.constants[node.output[0]] = _of_node(node, position)
                self.aside[node.output[0]] = node, position
            elif self._is_alias(node):
                self.weights.add(node.output[0])
                self.aside[node.output[0]] = node, position
            else:
                read = [*node.input, *captured(node)]
                self.add(Item(node, position, read, history=[was(node, position)]))

    def _is_alias(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Identity" or node.domain not in DEFAULT_DOMAINS:
            return False
        name = node.input[0]
        held = name in self.weights and name not in self.inputs and name not in self.constants
        return held and node.output[0] not in self.outputs

    def add(self, item: Item) -> None:
        """Put a node in, behind all others."""
        self.items.append(item)
        self.producer.update((name, item) for name in item.node.output if name)
        for name in dict.fromkeys(filter(None, item.inputs)):
            self.consumers.setdefault(name, []).append(item)

    def replace(self, group: list[Item], call: Item) -> None:
        """Put a call in the place of the nodes that it calls; `sweep` must follow."""
        gone = set(map(id, group))
        for item in group:
            for name in filter(None, item.node.output):
                self.producer.pop(name, None)
            for name in set(filter(None, item.inputs)):
                self.consumers[name] = [u for u in self.consumers[name] if id(u) not in gone]
            item.gone = True
        self.add(call)

    def sweep(self) -> None:
        """Forget the nodes that were replaced, and bring the rest in an order that runs."""
        alive = [item for item in self.items if not item.gone]
        self.items = topological(alive, self.producers)

    def producers(self, item: Item) -> Iterator[Item]:
        """The nodes that make what a node reads."""
        for name in item.inputs:
            maker = self.producer.get(name)
            if maker is not None:
                yield maker

    def users(self, item: Item) -> Iterator[Item]:
        """The nodes that read what a node makes."""
        for name in item.node.output:
            if name:
                yield from self.consumers.get(name, ())


def topological(items: list[Item], producers: object) -> list[Item]:
    """Items in an order that runs, by position where that is free."""
    import heapq  # noqa: PLC0415

    assert callable(producers)
    waiting: dict[int, int] = {}
    users: dict[int, list[Item]] = {}
    ready: list[tuple[int, int, Item]] = []
    for item in items:
        makers = {id(maker): maker for maker in producers(item)}
        waiting[id(item)] = len(makers)
        for maker in makers.values():
            users.setdefault(id(maker), []).append(item)
        if not makers:
            heapq.heappush(ready, (item.position, id(item), item))
    found: list[Item] = []
    while ready:
        item = heapq.heappop(ready)[2]
        found.append(item)
        for user in users.get(id(item), ()):
            waiting[id(user)] -= 1
            if not waiting[id(user)]:
                heapq.heappush(ready, (user.position, id(user), user))
    assert len(found) == len(items), "a cycle among calls"
    return found


def captured(node: onnx.NodeProto) -> list[str]:
    """Values of the graph around a node that its subgraphs read, each once, in order."""
    found: dict[str, None] = {}
    for _, subgraph in subgraphs(node):
        found.update(dict.fromkeys(free_names(subgraph)))
    return list(found)


def free_names(subgraph: onnx.GraphProto) -> Iterator[str]:
    """Names that a subgraph uses and does not define, as they come."""
    own = local_names(subgraph)
    for node in subgraph.node:
        for name in (*node.input, *captured(node)):
            if name and name not in own:
                yield name
    yield from (value.name for value in subgraph.output if value.name not in own)


def local_names(subgraph: onnx.GraphProto) -> set[str]:
    """Names that a subgraph defines itself."""
    found = {value.name for value in subgraph.input}
    found |= {weight.name for weight in subgraph.initializer}
    found |= {weight.values.name for weight in subgraph.sparse_initializer}
    return found | {name for node in subgraph.node for name in node.output if name}


_WHOLE = frozenset(
    {
        *(onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL),
        *(onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16),
    }
)


def _is_small(weight: onnx.TensorProto) -> bool:
    """Whether an initializer that is no parameter is a constant of the exporter's making."""
    if weight.data_location == onnx.TensorProto.EXTERNAL:
        return False
    size = 1
    for extent in weight.dims:
        size *= extent
    return size <= 1 or (weight.data_type in _WHOLE and size <= 64)


def _of_weight(weight: onnx.TensorProto, number: int) -> Constant:
    value = onnx.TensorProto()
    value.CopyFrom(weight)
    value.ClearField("name")
    attribute = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=value)
    node = onnx.NodeProto(op_type="Constant", output=[weight.name], attribute=[attribute])
    history = Was(-1 - number, None, (weight.name,))
    return Constant(node, is_node=False, content=_content([attribute]), history=history)


def _of_node(node: onnx.NodeProto, position: int) -> Constant:
    values = [attribute for attribute in node.attribute if attribute.name != TAG_ATTRIBUTE]
    return Constant(node, is_node=True, content=_content(values), history=was(node, position))


def _content(attributes: list[onnx.AttributeProto]) -> bytes:
    """What two constants of equal values have in common, however they are written."""
    if len(attributes) != 1 or not attributes[0].HasField("t"):
        parts: list[bytes] = [a.SerializeToString(deterministic=True) for a in attributes]
        return b"".join(parts)
    tensor = attributes[0].t
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.data_type == tensor.STRING:
        whole: bytes = tensor.SerializeToString(deterministic=True)
        return whole
    array = onnx.numpy_helper.to_array(tensor)
    values: bytes = array.tobytes()
    return f"{tensor.data_type}{list(tensor.dims)}".encode() + values
