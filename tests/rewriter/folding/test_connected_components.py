"""Strongly connected components, against their definition."""

from hypothesis import given
from hypothesis import strategies as st

from modelexport.rewriter.folding.connected_components import strongly_connected

edges = st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)))


def reachable(start: int, successors: dict[int, list[int]]) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        new = set(successors[waiting.pop()]) - reached
        reached |= new
        waiting += new
    return reached


@given(edges=edges)
def test_components_are_those_of_the_definition(edges: set[tuple[int, int]]) -> None:
    """Two vertices are in one component if each can be reached from the other."""
    successors = {v: [b for a, b in sorted(edges) if a == v] for v in range(8)}
    reached = {v: reachable(v, successors) for v in successors}
    expected = {frozenset(w for w in reached[v] if v in reached[w]) for v in successors}
    components = strongly_connected(successors)
    assert sorted(v for component in components for v in component) == list(range(8))
    assert set(map(frozenset, components)) == expected


def test_long_chains_need_no_recursion() -> None:
    """A cycle of more vertices than Python allows nested calls is found."""
    size = 20_000
    (component,) = strongly_connected({n: [(n + 1) % size] for n in range(size)})
    assert len(component) == size
