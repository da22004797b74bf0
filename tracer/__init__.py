"""A torch model in, plain ONNX and a trace record out."""

from tracer.inputs import InputRequest, parse_shape
from tracer.sources import Loaded, load
from tracer.tracing import Origin, TraceResult, check_targets, trace

__all__ = [
    "InputRequest",
    "Loaded",
    "Origin",
    "TraceResult",
    "check_targets",
    "load",
    "parse_shape",
    "trace",
]
