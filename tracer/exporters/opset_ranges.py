"""The opsets that torch's exporters write."""

import onnx

from modelexport.errors import UsageError

DYNAMO_MIN_OPSET = 18
"""The lowest opset of the dynamo exporter. Torch can convert to lower ones, but loses metadata
then. So `opset_conversion` converts them node for node.
"""

TORCHSCRIPT_MAX_OPSET = 20
"""The highest opset of the TorchScript exporter."""


def check_opset(opset: int) -> None:
    """Refuse an opset that onnx does not know.

    Raises:
        UsageError: onnx knows lower ones only.
    """
    highest = onnx.defs.onnx_opset_version()
    if opset > highest:
        raise UsageError(f"opset {opset}: onnx {onnx.__version__} knows none above {highest}.")
