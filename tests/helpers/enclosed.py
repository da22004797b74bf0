"""What encloses the open nodes of a handmade file, for tests of `Enclosure`."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from modelexport.rewriter.matching.alignment.enclosure import Enclosed, Enclosure
from modelexport.rewriter.matching.alignment.spans import Span
from tests.helpers.aligned import Aligned


def enclose(
    case: Aligned,
    seeds: Mapping[str, str],
    *,
    spans: Mapping[str, Span] | None = None,
    merged: Mapping[int, frozenset[int]] | None = None,
    anchored: Mapping[str, tuple[str, ...]] | None = None,
    new: Collection[str] = (),
    related: bool = False,
) -> dict[str, Enclosed]:
    """What encloses the nodes that are not paired.

    Args:
        case: The file and the record.
        seeds: The pairs.
        spans: Spans of paired nodes; those of others are their ops.
        merged: Initializers of the file to the recorded ones of which they consist.
        anchored: Nodes without a pair that read the weights of some ops.
        new: Nodes of modules that the record does not have.
        related: Whether the file is of a related model, as its values show.
    """
    values = case.values
    graphs = replace(
        case.graphs,
        new_nodes=frozenset(map(case.node, new)),
        values=values.as_related() if related and values is not None else values,
    )
    pairs = case.pairs(seeds)
    known = {node: Span((op,), frozenset(), closed=True) for node, op in pairs.ops.items()}
    known |= {case.node(name): span for name, span in (spans or {}).items()}
    begun = {
        case.node(node): tuple(case.op(op) for op in ops) for node, ops in (anchored or {}).items()
    }
    enclosure = Enclosure(graphs, pairs.ops, known, begun, merged or {})
    nodes = [node for node in range(len(case.file)) if node not in pairs]
    return {case.node_name(n): result for n, result in enclosure.enclose(nodes).items()}


def ops(case: Aligned, enclosed: Enclosed) -> list[str]:
    """The enclosing ops by name; there must be no reason against them."""
    assert not enclosed.reason
    return [case.op_name(op) for op in enclosed.ops]
