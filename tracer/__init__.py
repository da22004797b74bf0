"""A torch model in, plain ONNX and a trace record out."""

from tracer.inputs import InputRequest, parse_shape
from tracer.recording import Origin
from tracer.sources import Loaded, load
from tracer.tracing import RecordResult, TraceResult, check_targets, record, trace

__all__ = [
    "InputRequest",
    "Loaded",
    "Origin",
    "RecordResult",
    "TraceResult",
    "check_targets",
    "load",
    "parse_shape",
    "record",
    "trace",
]
