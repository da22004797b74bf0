"""Values in parts of about equally much memory."""

from itertools import chain

import onnx
import pytest

from modelexport.hierarchy.subgraphs import computed_names
from modelexport.rewriter.execution.value_parts import value_parts
from tests.helpers.handmade import parse

VALUES = "abcdefgh"
SMALL, LARGE = 8, 56
"""Elements of the values. All small ones together have as many as the large one."""


def values_in_a_row(declared: dict[str, int]) -> onnx.GraphProto:
    """Values that are computed one from the other; some have a declared size."""
    infos = ", ".join(f"float[{size}] {name}" for name, size in declared.items())
    nodes = " ".join(f"{b} = Neg ({a})" for a, b in zip("x" + VALUES, VALUES, strict=False))
    last = VALUES[-1]
    return parse(f"agraph (float[8] x) => (float[8] {last}) <{infos}> {{ {nodes} }}").graph


@pytest.mark.parametrize("place", range(len(VALUES) - 1))
def test_a_large_value_is_apart(place: int) -> None:
    """As many elements as all others together make a part: what is before it, and behind it."""
    sizes = {name: LARGE if n == place else SMALL for n, name in enumerate(VALUES[:-1])}
    graph = values_in_a_row(sizes)
    largest = max(
        sum({**sizes, VALUES[-1]: SMALL}[name] for name in part) for part in value_parts(graph, 2)
    )
    assert largest < LARGE + SMALL * len(VALUES) / 2
    assert [*chain.from_iterable(value_parts(graph, 2))] == list(VALUES)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 100])
def test_values_of_equal_or_unknown_sizes_are_divided_evenly(count: int) -> None:
    for graph in (values_in_a_row({}), values_in_a_row(dict.fromkeys(VALUES[:-1], SMALL))):
        lengths = [len(part) for part in value_parts(graph, count)]
        assert len(lengths) == min(count, len(VALUES))
        assert max(lengths) - min(lengths) <= 1


def test_values_without_elements_are_divided_too() -> None:
    graph = values_in_a_row(dict.fromkeys(VALUES[:-1], 0))
    graph.output[0].type.tensor_type.shape.dim[0].dim_value = 0
    assert [*chain.from_iterable(value_parts(graph, 3))] == computed_names(graph)


def test_a_graph_that_computes_nothing_has_no_parts() -> None:
    assert value_parts(onnx.GraphProto(), 2) == []
