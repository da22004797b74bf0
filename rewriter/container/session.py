"""Handing a skeleton to onnxruntime, so that it runs without the weights passing protobuf."""

from pathlib import Path
from typing import NamedTuple

import onnx

from modelexport.rewriter.container.reading import OnnxContainer
from modelexport.rewriter.container.tensors import all_tensors


class SessionSource(NamedTuple):
    """What to make an inference session of.

    Attributes:
        model: A serialised model, for the constructor.
        folder: Where its external data is: the value of the session option
            `session.model_external_initializers_file_folder_path`.
    """

    model: bytes
    folder: Path


def session_source(container: OnnxContainer, model: onnx.ModelProto) -> SessionSource:
    """A skeleton in the form that onnxruntime takes, while the container is open or after.

    onnxruntime reads initializers from external data, but no tensors in attributes: these
    are put back into the model.

    Args:
        container: The file.
        model: Its skeleton, or a copy of that with more outputs, say. It stays as it is.
    """
    if not any(held and t.data_location == t.EXTERNAL for t, held in all_tensors(model)):
        return SessionSource(model.SerializeToString(), container.path.parent)
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    for tensor, in_attribute in all_tensors(whole):
        values = container.payload(tensor) if in_attribute else None
        if values is not None:
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = values
    return SessionSource(whole.SerializeToString(), container.path.parent)
