"""What the onnx package raises about the models that it is given."""

import onnx

ONNX_ERRORS = (
    *(onnx.checker.ValidationError, onnx.shape_inference.InferenceError),
    *(ValueError, TypeError, RuntimeError),  # of damaged tensors and attributes
)
"""Errors of its checker and of its shape inference."""
