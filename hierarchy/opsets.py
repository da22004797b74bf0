"""Operator sets of ONNX: the names of its domains, and the version that a model imports."""

import onnx

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
"""Both names of the domain of ONNX's own operators. They mean the same."""

ML_DOMAIN = "ai.onnx.ml"
"""Domain of ONNX's operators for classical machine learning."""

ONNX_DOMAINS = DEFAULT_DOMAINS | {ML_DOMAIN, "ai.onnx.preview.training"}
"""All domains that the ONNX standard defines."""


def canonical_domain(domain: str) -> str:
    """The domain under one name: the default domain is "".

    >>> canonical_domain("ai.onnx"), canonical_domain("com.microsoft")
    ('', 'com.microsoft')
    """
    return "" if domain in DEFAULT_DOMAINS else domain


def default_opset(model: onnx.ModelProto) -> int:
    """Version of the default domain that a model imports; 0 when it imports none."""
    versions = (entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS)
    return max(versions, default=0)
