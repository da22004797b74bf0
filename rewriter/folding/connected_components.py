"""Strongly connected components of a directed graph (Tarjan 1972)."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


def strongly_connected(successors: Mapping[T, Iterable[T]]) -> list[list[T]]:
    """Find the strongly connected components of a graph.

    Args:
        successors: The successors of each vertex. All vertices must be keys.

    Returns:
        The vertices of each component.
    """
    search = _Tarjan(successors)
    for vertex in successors:
        search.visit(vertex)
    return search.components


class _Tarjan(Generic[T]):
    """One depth-first search, without recursion: graphs are thousands of vertices deep."""

    def __init__(self, successors: Mapping[T, Iterable[T]]) -> None:
        self._successors = successors
        self._index: dict[T, int] = {}
        self._low_link: dict[T, int] = {}
        self._stack: list[T] = []
        self._on_stack: set[T] = set()
        self._path: list[tuple[T, Iterator[T]]] = []
        self.components: list[list[T]] = []

    def visit(self, start: T) -> None:
        """Search from a vertex, if no search has reached it yet."""
        if start in self._index:
            return
        self._enter(start)
        while self._path:
            vertex, rest = self._path[-1]
            successor = next(rest, None)
            if successor is None:
                self._leave(vertex)
            elif successor not in self._index:
                self._enter(successor)
            elif successor in self._on_stack:
                self._low_link[vertex] = min(self._low_link[vertex], self._index[successor])

    def _enter(self, vertex: T) -> None:
        self._index[vertex] = self._low_link[vertex] = len(self._index)
        self._stack.append(vertex)
        self._on_stack.add(vertex)
        self._path.append((vertex, iter(self._successors[vertex])))

    def _leave(self, vertex: T) -> None:
        self._path.pop()
        if self._path:
            parent = self._path[-1][0]
            self._low_link[parent] = min(self._low_link[parent], self._low_link[vertex])
        if self._low_link[vertex] < self._index[vertex]:
            return
        component: list[T] = []
        while not component or component[-1] != vertex:
            component.append(self._stack.pop())
            self._on_stack.discard(component[-1])
        self.components.append(component)
