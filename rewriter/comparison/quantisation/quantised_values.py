"""The quantised values of a file, and the nodes that need them quantised.

A quantiser writes one QuantizeLinear and one DequantizeLinear for a value, however many nodes
need it quantised: the node that computes it, or nodes that read it. (If it is told to, it writes
equal ones for each reader; and onnxruntime copies them.) Other nodes read the result, too. If all
nodes that need the value quantised are left out of quantisation, both operators are removed.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import onnx

from modelexport.rewriter.extraction.graph_parts import MainGraph

_MERGED = {"Relu", "Clip"}
"""Operators that a quantiser removes when it quantises them, because the scale clips instead."""


class QuantisedValue(NamedTuple):
    """A value that only quantisers read, all with the same scale and zero point.

    Attributes:
        name: The value.
        quantise: Position of its first QuantizeLinear.
        dequantise: Position of its first DequantizeLinear.
        reals: The outputs of its DequantizeLinears: the same real numbers.
    """

    name: str
    quantise: int
    dequantise: int
    reals: tuple[str, ...]

    @property
    def real(self) -> str:
        """The first of these outputs."""
        return self.reals[0]


class QuantisedValues:
    """The quantised values of a main graph.

    Args:
        graph: The graph.
        keys: Key of the module of each node, by its position; None for nodes that belong to their
            readers.
        derived: Whether each node depends on nothing but constants and the shapes of values.

    Attributes:
        by_name: The values by their names.
        by_real: The same by what their quantisers make of them.
    """

    def __init__(
        self, graph: MainGraph, keys: Sequence[str | None], derived: Sequence[bool]
    ) -> None:
        self._graph, self._keys, self._derived = graph, keys, derived
        real_values = [
            value
            for position, node in enumerate(graph.nodes)
            for name in node.output
            if keys[position] is not None and graph.producer.get(name) == position
            if (value := self._quantised(name)) is not None
        ]
        self.by_name = {value.name: value for value in real_values}
        self.by_real = {real: value for value in real_values for real in value.reals}
        self._handled = self._find_quantised_nodes()

    def ends(self) -> Iterator[tuple[str, str]]:
        """The values that quantised nodes compute and quantisers alone read, each with its end.

        The end is what a quantiser makes of the value: the real numbers that a DequantizeLinear
        gives back, or the integers, where other operators read these.
        """
        for position in sorted(self._handled):
            for name in self._graph.nodes[position].output:
                if name in self.by_name:
                    yield name, self.by_name[name].reals[0]
                elif quantisers := self._quantisers(name):
                    yield name, self._graph.nodes[quantisers[0]].output[0]

    def is_passed_on(self, name: str) -> bool:
        """Whether a value is quantised because the value that it is computed from is quantised."""
        return self._passed_on(self._graph.producer[name]) is not None

    def applies(self, name: str, left_out: Collection[str]) -> bool:
        """Whether a value is still quantised when some modules are left out.

        Args:
            name: The value.
            left_out: Keys of these modules.
        """

        def quantises(position: int) -> bool:
            return position in self._handled and self._keys[position] not in left_out

        source: str | None = name
        while source is not None:
            producer, *readers = self._neighbours(source)
            if any(map(quantises, readers)):
                return True
            if not quantises(producer):
                return False
            source = self._passed_on(producer)
        return True

    def _quantised(self, name: str) -> QuantisedValue | None:
        nodes, quantisers = self._graph.nodes, self._quantisers(name)
        readers = [self._only_readers(nodes[q].output[0], "DequantizeLinear") for q in quantisers]
        if not readers or not all(readers):
            return None
        dequantisers = list(chain.from_iterable(readers))
        reals = tuple(nodes[position].output[0] for position in dequantisers)
        return QuantisedValue(name, quantisers[0], dequantisers[0], reals)

    def _quantisers(self, name: str) -> Sequence[int]:
        """Positions of the quantisers of a value, if they are equal and nothing else reads it."""
        quantisers = self._only_readers(name, "QuantizeLinear")
        scales = {tuple(self._graph.nodes[position].input[1:]) for position in quantisers}
        return quantisers if len(scales) == 1 else ()

    def _only_readers(self, name: str, operator: str) -> Sequence[int]:
        """Positions of the operators that read a value; empty if something else reads it, too.

        One without a scale or an output is damaged.
        """
        consumers = self._graph.consumers.get(name, ())
        if name in self._graph.returned:
            return ()
        nodes = (self._graph.nodes[position] for position in consumers)
        expected = all(
            (node.op_type, list(node.input[:1])) == (operator, [name])
            and len(node.input) > 1
            and node.output
            for node in nodes
        )
        return consumers if expected else ()

    def _find_quantised_nodes(self) -> set[int]:
        """The nodes that the quantiser handled, so that their inputs and outputs are quantised.

        Nodes that read quantised weights were handled for certain. Other operators were handled if
        there are quantised values that no handled node needs. Operators are added one by one: each
        time the operator that explains most of these values. An operator that explains none is
        added only if all its nodes have quantised inputs and outputs, and some operator without
        weights was handled.
        """
        certain, candidates, unlike = set[int](), dict[str, list[int]](), Counter[str]()
        for position, node in enumerate(self._graph.nodes):
            if self._keys[position] is None or self._derived[position]:
                continue
            inputs = [p for p in self._dequantised_inputs(node) if p is not None]
            if any(self._graph.is_constant[p] for p in inputs) or self._passed_on(position):
                certain.add(position)
            elif self._is_complete(node):
                candidates.setdefault(node.op_type, []).append(position)
            else:
                unlike[node.op_type] += 1
        candidates = {
            name: positions
            for name, positions in candidates.items()
            if name not in _MERGED and len(positions) >= unlike[name]
        }
        handled = set(certain)
        while candidates:
            counts = {name: self._explained_by(n, handled) for name, n in candidates.items()}
            name = max(counts, key=counts.__getitem__)
            if counts[name] or (handled != certain and not unlike[name]):
                handled.update(candidates[name])
            del candidates[name]
        return handled

    def _is_complete(self, node: onnx.NodeProto) -> bool:
        """Whether the first input and all outputs of a node are quantised."""
        return next(self._dequantised_inputs(node), None) is not None and all(
            name in self.by_name for name in node.output if name
        )

    def _explained_by(self, positions: Sequence[int], handled: set[int]) -> int:
        """How many quantised values some nodes need, of those that no handled node needs."""
        names = {
            name
            for position in positions
            for name in (*self._quantised_inputs(position), *self._graph.nodes[position].output)
            if name in self.by_name
        }
        return sum(not handled.intersection(self._neighbours(name)) for name in names)

    def _quantised_inputs(self, position: int) -> Iterator[str]:
        for name in self._graph.nodes[position].input:
            if name in self.by_real:
                yield self.by_real[name].name

    def _neighbours(self, name: str) -> Iterator[int]:
        """The node that computes a quantised value, and the nodes that need it quantised."""
        yield self._graph.producer[name]
        for real in self.by_name[name].reals:
            for reader in self._graph.consumers.get(real, ()):
                if self._passed_on(reader) != name:
                    yield reader

    def _dequantised_inputs(self, node: onnx.NodeProto) -> Iterator[int | None]:
        """The DequantizeLinear of each input of a node; None for other inputs."""
        for name in node.input:
            source = self._graph.producer.get(name)
            is_one = source is not None and (
                self._graph.nodes[source].op_type == "DequantizeLinear"
            )
            yield source if is_one else None

    def _passed_on(self, position: int) -> str | None:
        """The value that a node passes on with the same scale, as MaxPool does; None for others.

        Such a node leaves its input as it is: its output is quantised if its input is.
        """
        node = self._graph.nodes[position]
        source = self.by_real.get(node.input[0]) if node.input else None
        result = self.by_name.get(node.output[0]) if node.output else None
        if source is None or result is None:
            return None
        scales = [self._graph.nodes[v.quantise].input[1] for v in (source, result)]
        return source.name if scales[0] == scales[1] else None
