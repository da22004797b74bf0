"""Graphs as an alignment sees them: with or without the nodes that only pass values on."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from modelexport.rewriter.graph.flow import rearranges
from modelexport.rewriter.graph.wiring import NONE, Wiring


class Linked:
    """A wiring, every node of it. Neighbours are looked up when somebody asks.

    Attributes:
        wiring: The graph.
        origin: The value that each value is a rearrangement of: its own, when it is computed.
        passing: Whether each node is left out.
    """

    origin: Sequence[int]
    passing: Sequence[bool]

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.origin = range(len(wiring.names))
        self.passing = [False] * len(wiring)

    def sources(self, node: int) -> Sequence[int]:
        """Values that a node reads."""
        return self.wiring.reads(node)

    def makers(self, node: int) -> Sequence[int]:
        """Nodes that compute what a node reads."""
        makers = (self.wiring.maker[value] for value in self.wiring.reads(node))
        return [maker for maker in makers if maker != NONE]

    def readers(self, node: int) -> Sequence[int]:
        """Nodes that read what a node computes, each once, in their order."""
        users = self.wiring.users
        return sorted({user for value in self.wiring.makes(node) for user in users[value]})

    def reading(self, value: int) -> Sequence[int]:
        """Nodes that read a value which no node makes, each once, in their order."""
        return sorted(set(self.wiring.users[value]))

    @cached_property
    def weight_readers(self) -> Mapping[int, list[int]]:
        """Nodes that read each weight, those that pass it on included."""
        weights = self.wiring.weights
        found: dict[int, list[int]] = {}
        for node in range(len(self.wiring)):
            for value in self.sources(node):
                if value in weights:
                    readers = found.setdefault(value, [])
                    if not readers or readers[-1] != node:
                        readers.append(node)
        return found


class Contracted(Linked):
    """A wiring seen without the nodes that only pass values on.

    Casts, reshapes, transpositions, quantisers and whatever else gives back the numbers that it
    read: exporters and optimisers add and drop them at will, so neighbours are compared across
    them.

    Args:
        wiring: The graph.
        passing: Nodes and the input that each passes on, found by values; operators that do so
            by their nature are found anyway.
    """

    def __init__(self, wiring: Wiring, passing: Mapping[int, int]) -> None:
        super().__init__(wiring)
        by_nature = {kind: rearranges(kind) for kind in set(wiring.kinds)}
        self.passing = [n in passing or by_nature[kind] for n, kind in enumerate(wiring.kinds)]
        self.origin = self._find_origins(passing)
        self._sources: list[list[int]] = []
        self._makers: list[list[int]] = []
        self._readers: list[list[int]] = [[] for _ in wiring.kinds]
        self._reading: dict[int, list[int]] = {}
        for node in range(len(wiring)):
            origins = [self.origin[value] for value in wiring.reads(node)]
            makers = [wiring.maker[value] for value in origins]
            self._sources.append(origins)
            self._makers.append([maker for maker in makers if maker != NONE])
            if self.passing[node]:
                continue
            for value, maker in zip(origins, makers, strict=True):
                if maker == NONE:
                    readers = self._reading.setdefault(value, [])
                else:
                    readers = self._readers[maker]
                if not readers or readers[-1] != node:
                    readers.append(node)

    def _find_origins(self, passing: Mapping[int, int]) -> list[int]:
        inputs, outputs = self.wiring.inputs, self.wiring.outputs
        origin = list(range(len(self.wiring.names)))
        for node, passes in enumerate(self.passing):
            if passes and inputs[node]:
                source = passing.get(node, inputs[node][0])
                if source != NONE and outputs[node][:1] not in ([], [NONE]):
                    origin[outputs[node][0]] = origin[source]
        return origin

    def sources(self, node: int) -> Sequence[int]:
        """Values that a node reads, seen through what passes them on."""
        return self._sources[node]

    def makers(self, node: int) -> Sequence[int]:
        """Nodes that compute what a node reads, likewise."""
        return self._makers[node]

    def readers(self, node: int) -> Sequence[int]:
        """Nodes that read what a node computes, likewise; none of them passes it on."""
        return self._readers[node]

    def reading(self, value: int) -> Sequence[int]:
        """Nodes that read a value which no node makes, likewise."""
        return self._reading.get(value, ())
