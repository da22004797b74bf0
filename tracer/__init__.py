"""A torch model in, plain ONNX and a trace record out."""

from modelexport.tracer.from_config import TraceOptions, load_configured, options_of, planned
from modelexport.tracer.sources.loading import Loaded, load
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.tracing import RecordResult, TraceResult, record, trace

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
