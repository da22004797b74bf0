"""A torch model in, plain ONNX and a trace record out."""

from tracer.configured import TraceOptions, load_configured, options_of, planned
from tracer.recording import Origin
from tracer.sources import Loaded, load
from tracer.tracing import RecordResult, TraceResult, record, trace

__all__ = [
    "Loaded",
    "Origin",
    "RecordResult",
    "TraceOptions",
    "TraceResult",
    "load",
    "load_configured",
    "options_of",
    "planned",
    "record",
    "trace",
]
