"""The types of values: as the file declares them, inferred by onnx, or by onnxruntime."""

from collections.abc import Iterable

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.session import Session
from modelexport.rewriter.graph.onnx_errors import ONNX_ERRORS

_ELEMENTS = {
    "float": "FLOAT", "double": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16",
    "float8e4m3fn": "FLOAT8E4M3FN", "float8e5m2": "FLOAT8E5M2", "bool": "BOOL", "string": "STRING",
} | {f"{s}int{b}": f"{s.upper()}INT{b}" for s in ("", "u") for b in (4, 8, 16, 32, 64)}  # fmt: skip
"""onnxruntime's names of element types to those of ONNX."""

ValueInfos = dict[str, onnx.ValueInfoProto]


def value_types(file: PlacedFile, names: Iterable[str]) -> ValueInfos:
    """The value infos of some values of the main graph, with their types.

    Args:
        file: The file.
        names: The values.

    Raises:
        RuntimeFailedError: onnxruntime is needed for a type, and does not load the file.
        UsageError: A value has a type that no input can have.
    """
    names = list(names)
    infos = _declared(file.model.graph)
    if any(name not in infos for name in names):
        infos = _inferred(file.model) | infos
    missing = [name for name in names if name not in infos]
    if missing:
        infos |= _by_runtime(file, missing)
    return {name: infos[name] for name in names}


def _inferred(model: onnx.ModelProto) -> ValueInfos:
    """What onnx infers; nothing where it refuses the model, which onnxruntime may still load."""
    try:
        return _declared(onnx.shape_inference.infer_shapes(model, strict_mode=False).graph)
    except ONNX_ERRORS:
        return {}


def _declared(graph: onnx.GraphProto) -> ValueInfos:
    values = (*graph.value_info, *graph.input, *graph.output)
    return {value.name: value for value in values if _has_type(value)}


def _has_type(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind is not None and (kind != "tensor_type" or bool(value.type.tensor_type.elem_type))


def _by_runtime(file: PlacedFile, names: list[str]) -> ValueInfos:
    """The types that onnxruntime infers: it knows its own operators."""
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    del model.graph.output[:]
    expose_values(model.graph, names)
    source = session_source(file.container, model)
    session = Session(file.path, source=source, plain=True, libraries=file.libraries)
    infos = {}
    for name, kind, shape in session.output_types:
        element = _ELEMENTS.get(kind.removeprefix("tensor(").removesuffix(")"))
        if element is None:
            raise UsageError(f"{file.path}: value {name} is a {kind}; no input can have this type.")
        number = onnx.TensorProto.DataType.Value(element)
        infos[name] = onnx.helper.make_tensor_value_info(name, number, shape)
    return infos
