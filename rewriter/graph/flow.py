"""Which node makes and which nodes use each value, across subgraphs and functions."""

from collections.abc import Iterable, Iterator

import onnx

from modelexport.hierarchy.graph_paths import NodeKey, Place, walk_graphs

SHAPE_SOURCES = frozenset({"Shape", "Size"})

_REARRANGING = frozenset(
    {
        *("Identity", "Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
        *("Transpose", "Dropout", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    }
)
"""Operators of ONNX that give back the numbers of their first input: in another shape or type."""

_MOVERS = _REARRANGING | {
    *("Split", "Slice", "Concat", "Expand", "Tile"),
    *("SplitToSequence", "SequenceAt", "SequenceConstruct", "ConcatFromSequence"),
}
"""Operators of ONNX that only move, cut, cast or rescale values."""


def rearranges(kind: str) -> bool:
    """Whether an operator gives back the numbers of its first input, or rounds them."""
    return kind.rpartition("::")[2] in _REARRANGING  # quantisers stand in several domains


class Flow:
    """The dataflow of a model; nodes are numbered in the order of `walk_nodes`.

    A body's captured values have their makers outside. What a body or function gives back is
    used by the node that holds or calls it, and that node makes what the body is given: so a
    question about neighbours crosses these borders without knowing of them.

    Attributes:
        places: The graphs, as `walk_graphs` gives them.
        keys, nodes: Address and proto of each node.
        producers, consumers: Numbers of the nodes that make its inputs, and use its outputs.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.keys: list[NodeKey] = []
        self.nodes: list[onnx.NodeProto] = []
        self.places: list[Place] = list(walk_graphs(model))
        self._start: dict[str, int] = {}
        for place in self.places:
            self._start[place.path] = len(self.nodes)
            self.nodes.extend(place.graph.node)
            self.keys.extend(NodeKey(place.path, i) for i in range(len(place.graph.node)))
        self.producers: list[list[int]] = [[] for _ in self.nodes]
        self.consumers: list[list[int]] = [[] for _ in self.nodes]
        self._reads_data = [False] * len(self.nodes)
        self._makers: dict[str, dict[str, int | None]] = {}
        self._callers = self._find_callers()
        for place in self.places:
            self._makers[place.path] = self._defined(place)
        for place in self.places:
            self._connect(place)
        self.derived = self._find_derived()

    def __len__(self) -> int:
        return len(self.nodes)

    def passive(self, number: int) -> bool:
        """Whether a node computes nothing of a module's own.

        Constants, shape arithmetic and nodes that only move values are passive: they belong
        to whoever uses them.
        """
        node = self.nodes[number]
        return self.derived[number] or (node.domain in {"", "ai.onnx"} and node.op_type in _MOVERS)

    def maker(self, graph: str, name: str) -> int | None:
        """Number of the node that makes a value seen from a graph; None for inputs and weights."""
        return self._resolve(graph, name)[0]

    def users_first(self) -> Iterator[int]:
        """Every node, after the nodes that use its outputs (apart from loops' feedback)."""
        yield from self._users_first(self.places[0])
        for place in self._functions_callers_first():
            yield from self._users_first(place)

    def _users_first(self, place: Place) -> Iterator[int]:
        start = self._start[place.path]
        for index in range(len(place.graph.node) - 1, -1, -1):
            yield start + index
            for body in self._bodies.get(start + index, ()):
                yield from self._users_first(body)

    def _functions_callers_first(self) -> list[Place]:
        functions = {p.path: p for p in self.places if p.path.startswith("@") and p.parent is None}
        ordered: list[Place] = []
        seen: set[str] = set()

        def visit(path: str) -> None:
            if path not in seen:
                seen.add(path)
                for caller in self._callers.get(path, ()):
                    above = self._root_place(self.keys[caller].graph)
                    if above in functions:
                        visit(above)
                ordered.append(functions[path])

        for path in functions:
            visit(path)
        return ordered

    def _root_place(self, path: str) -> str:
        while (parent := self._parents[path]) is not None:
            path = parent
        return path

    def _find_callers(self) -> dict[str, list[int]]:
        """Function path to the nodes that call it; fills the maps between nodes and bodies too."""
        self._parents = {place.path: place.parent for place in self.places}
        self._bodies: dict[int, list[Place]] = {}
        self._holder: dict[str, int] = {}
        named: dict[tuple[str, str, str], str] = {}
        for place in self.places:
            if place.parent is not None:
                position = place.path[len(place.parent) + 1 :].partition(".")[0]
                holder = self._start[place.parent] + int(position)
                self._holder[place.path] = holder
                self._bodies.setdefault(holder, []).append(place)
            elif isinstance(place.graph, onnx.FunctionProto):
                function = place.graph
                named.setdefault((function.domain, function.name, function.overload), place.path)
        callers: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes) if named else ():
            path = named.get((node.domain, node.op_type, node.overload))
            if path is not None:
                callers.setdefault(path, []).append(number)
        return callers

    def _defined(self, place: Place) -> dict[str, int | None]:
        graph = place.graph
        found: dict[str, int | None] = {}
        if isinstance(graph, onnx.GraphProto):
            found.update((value.name, None) for value in graph.input)
            weights = [*(w.name for w in graph.initializer)]
            weights += [w.values.name for w in graph.sparse_initializer]
            found.update((name, -1) for name in weights)
        else:
            found.update((name, None) for name in graph.input)
        start = self._start[place.path]
        for index, node in enumerate(graph.node):
            found.update((name, start + index) for name in node.output if name)
        return found

    def _resolve(self, graph: str, name: str) -> tuple[int | None, bool, str]:
        """(maker, whether it is data from outside, graph that defines it) of a value."""
        path: str | None = graph
        while path is not None:
            makers = self._makers[path]
            if name in makers:
                number = makers[name]
                return (None if number == -1 else number), number is None, path
            path = self._parents[path]
        return None, True, graph

    def _around(self, path: str) -> Iterable[int]:
        holder = self._holder.get(path)
        return self._callers.get(path, ()) if holder is None else (holder,)

    def _connect(self, place: Place) -> None:
        start = self._start[place.path]
        makers = self._makers[place.path]
        for number, node in enumerate(place.graph.node, start):
            for name in node.input:
                if not name:
                    continue
                maker = makers.get(name)
                if maker is not None and maker >= 0:
                    self._link(maker, number)
                elif maker is None:
                    self._connect_outer(place.path, name, number)
        for output in place.graph.output:
            name = output if isinstance(output, str) else output.name
            made = self._resolve(place.path, name)[0]
            if made is not None:
                for user in self._around(place.path):
                    self._link(made, user)

    def _connect_outer(self, graph: str, name: str, number: int) -> None:
        maker, outside, where = self._resolve(graph, name)
        if maker is not None:
            self._link(maker, number)
        elif outside:
            self._reads_data[number] = True
            self.producers[number].extend(self._around(where))

    def _link(self, maker: int, user: int) -> None:
        self.consumers[maker].append(user)
        self.producers[user].append(maker)

    def _find_derived(self) -> list[bool]:
        """Nodes whose outputs depend on nothing but constants and the shapes of values."""
        derived = [False] * len(self.nodes)
        for number, node in enumerate(self.nodes):
            derived[number] = node.op_type in SHAPE_SOURCES or (
                not self._reads_data[number]
                and number not in self._bodies
                and all(derived[maker] for maker in self.producers[number])
            )
        return derived
