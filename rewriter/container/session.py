"""Giving a skeleton to onnxruntime: the weights do not pass through protobuf."""

from pathlib import Path
from typing import NamedTuple

import onnx

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.misread_names import is_misread
from modelexport.rewriter.container.onnx_container import OnnxContainer
from modelexport.rewriter.container.tensor_walk import walk_tensors


class SessionSource(NamedTuple):
    """What an inference session is made of.

    Attributes:
        model: A serialised model, or the path of a file, for the constructor.
        folder: The folder of the external data of a serialised model: the value of the session
            option `session.model_external_initializers_file_folder_path`.
        files: The files that onnxruntime reads, and may map into memory.
    """

    model: bytes | str
    folder: Path
    files: tuple[Path, ...] = ()


def file_source(container: OnnxContainer) -> SessionSource:
    """The file itself, as users give it to onnxruntime.

    Raises:
        OnnxFileError, RuntimeFailedError: As `session_source` raises them.
    """
    _refuse_harmful(container, container.skeleton())
    return SessionSource(str(container.path), container.path.parent, _files(container))


def session_source(container: OnnxContainer, model: onnx.ModelProto) -> SessionSource:
    """Turn a skeleton into the form that onnxruntime reads, also after the container is closed.

    onnxruntime reads initializers from external data, but not tensors in attributes. Those
    are put back into the model.

    Args:
        container: The file.
        model: Its skeleton, or a changed copy of it (with more outputs, for example). It is
            not changed here.

    Raises:
        OnnxFileError: Its external data is outside its folder, or not in regular files.
        RuntimeFailedError: It would end the process inside onnxruntime.
    """
    _refuse_harmful(container, model)
    if not any(inside and t.data_location == t.EXTERNAL for t, inside in walk_tensors(model)):
        return SessionSource(model.SerializeToString(), container.path.parent, _files(container))
    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    for tensor, in_attribute in walk_tensors(complete):
        values = container.payload(tensor) if in_attribute else None
        if values is not None:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = values
    return SessionSource(complete.SerializeToString(), container.path.parent, _files(container))


def _files(container: OnnxContainer) -> tuple[Path, ...]:
    return (container.present_path, *(file.path for file in container.external_files()))


def _refuse_harmful(container: OnnxContainer, model: onnx.ModelProto) -> None:
    """Refuse a file that would block or end the process inside onnxruntime, without an error.

    Raises:
        OnnxFileError: Its external data is a pipe or a device.
        RuntimeFailedError: A function without inputs is called with some: before 1.32,
            onnxruntime looks for the type of the first, which does not exist. Or a function has
            the name of an operator and fewer inputs.
    """
    container.external_files()
    without = {(f.domain, f.name, f.overload) for f in model.functions if not f.input}
    for _, node in walk_nodes(model) if model.functions else ():
        if node.input and (node.domain, node.op_type, node.overload) in without:
            raise RuntimeFailedError(
                f"{container.path}: onnxruntime cannot load it (node {node.name!r} gives "
                f"{len(node.input)} inputs to the function {node.op_type!r}, which takes none)."
            )
        if is_misread(node.domain, node.op_type, len(node.input)):
            raise RuntimeFailedError(
                f"{container.path}: onnxruntime cannot load it (node {node.name!r} gives "
                f"{len(node.input)} inputs to the function {node.op_type!r}, which onnxruntime "
                "takes for the operator of that name; give the function another name)."
            )
