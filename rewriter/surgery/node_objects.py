"""Making and reading single objects of graphsurgeon."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx_graphsurgeon as gs


def new_node(
    op: str,
    name: str,
    *,
    attrs: Mapping[str, object],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    domain: str | None,
) -> Any:
    """A new `gs.Node`."""
    return gs.Node(op, name, dict(attrs), list(inputs), list(outputs), domain)


def is_variable(tensor: Any) -> bool:
    """Whether a tensor is computed or fed, and is no weight and no omitted input."""
    return isinstance(tensor, gs.Variable) and bool(tensor.name)


def subgraphs_of(node: Any) -> Iterator[Any]:
    """The subgraphs of a node, as `gs.Graph` objects."""
    return (value for value in node.attrs.values() if isinstance(value, gs.Graph))
