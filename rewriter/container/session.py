"""Giving a skeleton to onnxruntime: the weights do not pass through protobuf."""

from pathlib import Path
from typing import NamedTuple

import onnx

from modelexport.rewriter.container.onnx_container import OnnxContainer
from modelexport.rewriter.container.tensor_walk import walk_tensors


class SessionSource(NamedTuple):
    """What an inference session is made of.

    Attributes:
        model: A serialised model, for the constructor.
        folder: The folder of its external data: the value of the session option
            `session.model_external_initializers_file_folder_path`.
    """

    model: bytes
    folder: Path


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
    """
    container.external_files()  # onnxruntime would wait for a pipe, without end
    if not any(inside and t.data_location == t.EXTERNAL for t, inside in walk_tensors(model)):
        return SessionSource(model.SerializeToString(), container.path.parent)
    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    for tensor, in_attribute in walk_tensors(complete):
        values = container.payload(tensor) if in_attribute else None
        if values is not None:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = values
    return SessionSource(complete.SerializeToString(), container.path.parent)
