"""Limits for files that are small but stand for very much: inlined functions, dimensions."""

from collections.abc import Iterator, Sequence

import onnx

from modelexport.hierarchy.graph_paths import has_subgraphs, subgraphs

MAX_INLINED_NODES = 2_000_000
"""Maximum number of nodes that a file may have when all calls of its functions are inlined."""

MAX_FUNCTION_DEPTH = 100
"""Maximum number of functions that call each other, one inside the other."""

MAX_RANK = 64
"""Maximum number of dimensions of a tensor; numpy has no more, either."""

_Key = tuple[str, str, str]


def exceeded_budget(model: onnx.ModelProto) -> str | None:
    """Which limit a model exceeds, as the inner part of a sentence; None when it exceeds none."""
    for tensor in model.graph.initializer:
        if len(tensor.dims) > MAX_RANK:
            return f"tensor {tensor.name!r} has {len(tensor.dims):,} dimensions, not {MAX_RANK}"
    return _exceeded_by_functions(model) if model.functions else None


def _exceeded_by_functions(model: onnx.ModelProto) -> str | None:
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    sizes: dict[_Key, int] = {}
    open_calls: dict[_Key, Iterator[_Key]] = {}
    for start in functions:
        pending = [start]
        while pending:
            key = pending[-1]
            if key in sizes:
                pending.pop()
                continue
            if key not in open_calls:
                if len(pending) > MAX_FUNCTION_DEPTH:
                    return f"its functions call each other more than {MAX_FUNCTION_DEPTH} deep"
                open_calls[key] = iter(list(_calls(functions[key].node, functions)))
            called = next((k for k in open_calls[key] if k not in sizes), None)
            if called is None:
                sizes[key] = _size(functions[key].node, functions, sizes)
                pending.pop()
            elif called in pending:
                return f"its function {functions[called].name!r} calls itself"
            else:
                pending.append(called)
    total = _size(model.graph.node, functions, sizes)
    if total > MAX_INLINED_NODES:
        return f"its functions stand for more than {MAX_INLINED_NODES:,} nodes"
    return None


def _size(
    nodes: Sequence[onnx.NodeProto],
    functions: dict[_Key, onnx.FunctionProto],
    sizes: dict[_Key, int],
) -> int:
    """Number of nodes when all calls are inlined, at most a little more than the limit."""
    size = len(nodes) + sum(sizes[key] for key in _calls(nodes, functions))
    return min(size, MAX_INLINED_NODES + 1)


def _calls(
    nodes: Sequence[onnx.NodeProto], functions: dict[_Key, onnx.FunctionProto]
) -> Iterator[_Key]:
    """The functions that nodes call, those in their subgraphs included."""
    for node in nodes:
        key = (node.domain, node.op_type, node.overload)
        if key in functions:
            yield key
        if node.attribute and has_subgraphs(node):
            for _, subgraph in subgraphs(node):
                yield from _calls(subgraph.node, functions)
