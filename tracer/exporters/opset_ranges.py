"""The opsets that torch's exporters write."""

DYNAMO_MIN_OPSET = 18
"""The lowest of the dynamo exporter. Torch converts to lower ones, and loses metadata by that.

`opset_conversion` converts node for node.
"""

TORCHSCRIPT_MAX_OPSET = 20
"""The highest of the TorchScript exporter."""
