"""The bytes of a tensor, wherever they are stored."""

import onnx

from modelexport.rewriter.container.external_data import external_bytes
from modelexport.rewriter.container.onnx_container import OnnxContainer


def stored_bytes(container: OnnxContainer, tensor: onnx.TensorProto) -> bytes | None:
    """The little-endian values of a tensor that are in any file; None if it has them itself.

    Args:
        container: The file of the tensor's model.
        tensor: A tensor of its skeleton.

    Raises:
        OnnxFileError: The values are in a file that is missing or too short.
    """
    if tensor.data_location != tensor.EXTERNAL:
        return None
    values = container.payload(tensor)
    return external_bytes(container.path, tensor).tobytes() if values is None else values
