"""The model of a part: its nodes, weights and types, with the metadata of the whole."""

import onnx

from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.regions import Region
from modelexport.rewriter.extraction.value_types import ValueInfos


def part_model(file: PlacedFile, region: Region, types: ValueInfos) -> onnx.ModelProto:
    """The model of a region; its weights stay where they are.

    Args:
        file: The file.
        region: The part.
        types: Value infos of its inputs and outputs.
    """
    whole = file.model
    model = onnx.ModelProto()
    for field, value in whole.ListFields():
        if field.name not in {"graph", "training_info"}:
            _copy_field(model, field.name, value)
    graph = model.graph
    for field, value in whole.graph.ListFields():
        if field.name in {"name", "doc_string", "metadata_props"}:
            _copy_field(graph, field.name, value)
    graph.node.extend(whole.graph.node[position] for position in region.nodes)
    kept = region.initializers
    graph.initializer.extend(w for w in whole.graph.initializer if w.name in kept)
    graph.sparse_initializer.extend(
        w for w in whole.graph.sparse_initializer if w.values.name in kept
    )
    graph.input.extend(types[name] for name in region.inputs)
    graph.output.extend(types[name] for name in region.outputs)
    inner = {name for node in graph.node for name in node.output} - set(region.outputs)
    graph.value_info.extend(v for v in whole.graph.value_info if v.name in inner)
    names = inner | {*region.inputs, *region.outputs} | kept
    graph.quantization_annotation.extend(
        a for a in whole.graph.quantization_annotation if a.tensor_name in names
    )
    return model


def _copy_field(message: onnx.ModelProto | onnx.GraphProto, name: str, value: object) -> None:
    if isinstance(value, str | int | bytes):
        setattr(message, name, value)
    else:
        getattr(message, name).extend(value)
