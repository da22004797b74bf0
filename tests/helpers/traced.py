"""The models of the zoo, traced once for all tests of a session."""

import os
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec
import onnxruntime as ort
import pytest
from filelock import FileLock

from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.record import read_record, record_path
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.selection import EXPORTERS

CASES = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    for exporter in EXPORTERS
    if exporter not in fixture.refused_by
]
KEEP_TRACES = "MODELEXPORT_TEST_TRACES"
"""Environment variable: a folder that keeps traces between test sessions, for developers."""

every_case = pytest.mark.parametrize(("name", "exporter"), CASES)


class TracedModels:
    """Traces models of the zoo with the options that `trace` has by default, each only once.

    Its files are shared with the other processes that run tests of this session: tests read them,
    and write elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trace_once = cache(self._read_or_trace)

    def __call__(self, name: str, exporter: str) -> TraceResult:
        """The plain file and the record of a model of the zoo."""
        return self._trace_once(name, str(exporter))

    def _read_or_trace(self, name: str, exporter: str) -> TraceResult:
        path = self._folder / f"{name}-{exporter}.onnx"
        notes = path.with_suffix(".notes.json")  # written last
        with FileLock(path.with_suffix(".lock")):
            if not notes.exists():
                model, inputs = FIXTURES[name].build()
                result = trace(model, inputs, path, exporter=exporter)
                notes.write_bytes(msgspec.json.encode(result.notes))
        record = record_path(path)
        written = msgspec.json.decode(notes.read_bytes(), type=tuple[str, ...])
        return TraceResult(path, record, read_record(record), written)


def kept_traces() -> Path | None:
    """The folder of `KEEP_TRACES` for the code as it is now; None where nothing is kept."""
    kept = os.environ.get(KEEP_TRACES)
    if not kept:
        return None
    repository = Path(__file__).parents[2]
    digest = sha256()
    for room in ("tracer", "hierarchy", "support", "fixtures_gen"):
        for path in sorted((repository / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return Path(kept) / digest.hexdigest()[:16]


def open_session(path: Path, *, optimised: bool = False) -> ort.InferenceSession:
    """A file in onnxruntime, on one thread, without its optimisations."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(str(path), options)


def output_bytes(path: Path, traced: TraceResult) -> list[bytes]:
    """The bytes of each output of a file, run on the inputs that the model was traced with."""
    feeds = {entry.name: entry.to_array() for entry in traced.record.probe.inputs}
    return [array.tobytes() for array in open_session(path).run(None, feeds)]
