"""A torch model in, plain ONNX and a trace record out."""

from modelexport.tracer.from_config import (
    load_from_config,
    plan_trace,
    record_loaded,
    trace_loaded,
)
from modelexport.tracer.module_run import run_modules
from modelexport.tracer.recording import RecordResult, record
from modelexport.tracer.sources.generation.model_parts import model_parts
from modelexport.tracer.sources.generation.part_connections import part_connections
from modelexport.tracer.sources.loading import Loaded, load
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.tracing import TraceResult, trace

__all__ = [
    "Loaded",
    "Origin",
    "RecordResult",
    "TraceResult",
    "load",
    "load_from_config",
    "model_parts",
    "part_connections",
    "plan_trace",
    "record",
    "record_loaded",
    "run_modules",
    "trace",
    "trace_loaded",
]
