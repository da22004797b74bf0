"""Operator sets of ONNX: the two names of the default domain, and the versions of a model."""

import onnx

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""Both names of the domain of ONNX's own operators; they mean the same."""


def default_opset(model: onnx.ModelProto) -> int | None:
    """Version of the default domain that a model imports; None when it imports none."""
    versions = (entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS)
    return next(versions, None)
