"""The fixtures, traced once for all tests of a process."""

import tempfile
from functools import cache
from pathlib import Path

import onnxruntime as ort
import pytest

from fixtures_gen.zoo import FIXTURES
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.selection import EXPORTERS

CASES = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    for exporter in EXPORTERS
    if exporter not in fixture.refused_by
]
every_case = pytest.mark.parametrize(("name", "exporter"), CASES)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


@cache
def traced(name: str, exporter: str) -> TraceResult:
    """A fixture's plain file and record."""
    model, inputs = FIXTURES[name].build()
    return trace(model, inputs, Path(_folder().name, f"{name}-{exporter}.onnx"), exporter=exporter)


def plain_session(path: Path, *, optimised: bool = False) -> ort.InferenceSession:
    """A file in onnxruntime, on one thread, without its optimisations."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options)


def bits(path: Path, done: TraceResult) -> list[bytes]:
    """What a file computes on the inputs that a fixture was traced with."""
    feeds = {entry.name: entry.array() for entry in done.record.probe.inputs}
    return [array.tobytes() for array in plain_session(path).run(None, feeds)]
