"""Transformations that change nothing but names and order."""

import random
from collections.abc import Callable, Iterable, Iterator

import onnx

from modelexport.hierarchy.graph_paths import subgraphs, walk_graphs

_SEED = 11


def scramble(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node, tensor, initializer, input and output a name that says nothing.

    Order is kept, of nodes, of inputs and of outputs; metadata and doc strings go.
    """
    scrambled = onnx.ModelProto()
    scrambled.CopyFrom(model)
    rename = _renaming(scrambled)
    counts = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    del scrambled.metadata_props[:]
    for place in walk_graphs(scrambled):
        graph = place.graph
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.name = f"n{counts.getrandbits(48):x}"
            node.doc_string = ""
            del node.metadata_props[:]
            node.input[:] = map(rename, node.input)
            node.output[:] = map(rename, node.output)
        if isinstance(graph, onnx.FunctionProto):
            graph.input[:] = map(rename, graph.input)
            graph.output[:] = map(rename, graph.output)
        else:
            _rename_graph(graph, rename)
    return scrambled


def _rename_graph(graph: onnx.GraphProto, rename: Callable[[str], str]) -> None:
    graph.name = "g"
    named = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for value in (*named, *(sparse.values for sparse in graph.sparse_initializer)):
        value.name = rename(value.name)
    for annotation in graph.quantization_annotation:
        annotation.tensor_name = rename(annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = rename(entry.value)


def _renaming(model: onnx.ModelProto) -> Callable[[str], str]:
    """New names, in no order; an empty one, which stands for nothing, stays."""
    names = list(dict.fromkeys(name for name in _names(model) if name))
    numbers = list(range(len(names)))
    random.Random(_SEED).shuffle(numbers)  # noqa: S311 - reproducible, not secret
    new = {name: f"v{number}" for name, number in zip(names, numbers, strict=True)}
    return lambda name: new.get(name, name)


def _names(model: onnx.ModelProto) -> Iterator[str]:
    for place in walk_graphs(model):
        graph = place.graph
        for node in graph.node:
            yield from (*node.input, *node.output)
        if isinstance(graph, onnx.FunctionProto):
            yield from (*graph.input, *graph.output)
        else:
            named = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
            yield from (value.name for value in named)
            yield from (sparse.values.name for sparse in graph.sparse_initializer)


def reorder(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the nodes of the main graph into another order in which they can run."""
    scrambled = onnx.ModelProto()
    scrambled.CopyFrom(model)
    nodes = list(scrambled.graph.node)
    makers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    waits = [{makers[n] for n in reads(node) if n in makers} for node in nodes]
    users: dict[int, list[int]] = {i: [] for i in range(len(nodes))}
    for i, before in enumerate(waits):
        for j in before:
            users[j].append(i)
    picks = random.Random(_SEED)  # noqa: S311 - reproducible, not secret
    ready, order = [i for i, before in enumerate(waits) if not before], []
    while ready:
        i = ready.pop(picks.randrange(len(ready)))
        order.append(i)
        for j in users[i]:
            waits[j].discard(i)
            if not waits[j]:
                ready.append(j)
    del scrambled.graph.node[:]
    scrambled.graph.node.extend(nodes[i] for i in order)
    return scrambled


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """Every name that a node reads, those of its subgraphs included."""
    yield from node.input
    for _, subgraph in subgraphs(node):
        for inner in subgraph.node:
            yield from reads(inner)
        yield from (value.name for value in subgraph.output)
