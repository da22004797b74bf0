"""The model of a part: its nodes, weights, types and functions, with its part of the metadata."""

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.annotation.tagged_model import tagged_model
from modelexport.rewriter.extraction.graph_parts import GraphPart
from modelexport.rewriter.extraction.part_hierarchy import trim_hierarchy
from modelexport.rewriter.extraction.value_types import ValueInfos
from modelexport.support.repeated_fields import replace_messages


def part_model(file: PlacedFile, part: GraphPart, types: ValueInfos) -> onnx.ModelProto:
    """The model of a part, with the tags of its nodes; its weights stay where they are.

    Args:
        file: The file.
        part: The part.
        types: Value infos of its inputs and outputs.
    """
    whole = tagged_model(file)
    model = onnx.ModelProto()
    for field, value in whole.ListFields():
        if field.name not in {"graph", "training_info"}:
            _copy_field(model, field.name, value)
    graph = model.graph
    for field, value in whole.graph.ListFields():
        if field.name in {"name", "doc_string", "metadata_props"}:
            _copy_field(graph, field.name, value)
    graph.node.extend(whole.graph.node[position] for position in part.nodes)
    names_of_weights = part.initializers
    graph.initializer.extend(w for w in whole.graph.initializer if w.name in names_of_weights)
    graph.sparse_initializer.extend(
        w for w in whole.graph.sparse_initializer if w.values.name in names_of_weights
    )
    graph.input.extend(types[name] for name in part.inputs)
    graph.output.extend(types[name] for name in part.outputs)
    inner = {name for node in graph.node for name in node.output} - set(part.outputs)
    graph.value_info.extend(v for v in whole.graph.value_info if v.name in inner)
    names = inner | {*part.inputs, *part.outputs} | names_of_weights
    graph.quantization_annotation.extend(
        a for a in whole.graph.quantization_annotation if a.tensor_name in names
    )
    _remove_uncalled_functions(model)
    trim_hierarchy(model, file)
    return model


def _remove_uncalled_functions(model: onnx.ModelProto) -> None:
    """Leave out the functions of the whole that no node of the part calls."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}
    called: set[tuple[str, str, str]] = set()
    waiting: list[onnx.GraphProto | onnx.FunctionProto] = [model.graph] if functions else []
    while waiting:
        current = waiting.pop()
        for node in current.node:
            waiting += [subgraph for _, subgraph in subgraphs(node)]
            key = node.domain, node.op_type, node.overload
            if key in functions and key not in called:
                called.add(key)
                waiting.append(functions[key])
    kept = [f for f in model.functions if (f.domain, f.name, f.overload) in called]
    if len(kept) < len(model.functions):
        replace_messages(model.functions, kept)


def _copy_field(message: onnx.ModelProto | onnx.GraphProto, name: str, value: object) -> None:
    if isinstance(value, str | int | bytes):
        setattr(message, name, value)
    else:
        getattr(message, name).extend(value)
