"""The nodes that some values need, in an order in which they can run."""

from collections.abc import Iterable, Sequence

import onnx

from modelexport.rewriter.graph.subgraph_names import captured_names


class CycleError(Exception):
    """Values need each other.

    Attributes:
        names: What the nodes of the cycle compute.
    """

    def __init__(self, names: set[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


def needed_nodes(nodes: Sequence[onnx.NodeProto], names: Iterable[str]) -> list[onnx.NodeProto]:
    """The nodes that some values need, each after those that it reads from.

    Args:
        nodes: All nodes of a graph, in any order.
        names: The values.

    Raises:
        CycleError: There is no such order.
    """
    producer = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    before = [
        [producer[name] for name in (*node.input, *captured_names(node)) if name in producer]
        for node in nodes
    ]
    ordered: list[int] = []
    done, path = set[int](), dict[int, None]()
    for end in (producer[name] for name in names):
        pending = [(end, iter(before[end]))] if end not in done else []
        path = {end: None}
        while pending:
            number, sources = pending[-1]
            source = next((s for s in sources if s not in done), None)
            if source is None:
                pending.pop()
                path.pop(number)
                done.add(number)
                ordered.append(number)
            elif source in path:
                steps = list(path)
                cycle = steps[steps.index(source) :]
                raise CycleError({name for step in cycle for name in nodes[step].output})
            else:
                path[source] = None
                pending.append((source, iter(before[source])))
    return [nodes[number] for number in ordered]
