"""Modules that nobody expects: they are traced, recorded and annotated like all others."""

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from agreement.judging import Verdict
from fixtures_gen.truth import Truth, truth
from fixtures_gen.unexpected import UNEXPECTED
from modelexport.errors import ExportFailedError
from modelexport.rewriter import annotate
from modelexport.tracer import record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.judged import contradicted

CASES = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in UNEXPECTED.items()
    for exporter in EXPORTERS
    if exporter not in fixture.refused_by
]
REFUSED = [
    pytest.param(name, exporter, id=f"{name}-{exporter}")
    for name, fixture in UNEXPECTED.items()
    for exporter in EXPORTERS
    if exporter in fixture.refused_by
]
RIGHT = {Verdict.EXACT, Verdict.IN_COVERS}


def nameless(source: Path, target: Path) -> Path:
    """The same file without the names of its nodes."""
    model = onnx.load(source)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, target)
    return target


def can_run(path: Path) -> bool:
    """Whether onnxruntime has all operators of a file, for its types."""
    try:
        ort.InferenceSession(path)
    except ort.capi.onnxruntime_pybind11_state.NotImplemented:
        return False
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "exporter"), CASES)
def test_every_tag_is_what_eager_execution_shows(name: str, exporter: str, tmp_path: Path) -> None:
    """With and without names, by the record of the export and by an eager one."""
    model, inputs = UNEXPECTED[name].build()
    traced = trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    eager = record(model, inputs, tmp_path / "eager.json", exporter="eager").record
    bare = nameless(traced.onnx_path, tmp_path / "bare.onnx")
    reports = [
        (annotate(traced.onnx_path, traced.record, None), traced.record.tree, RIGHT),
        (annotate(bare, traced.record, None), traced.record.tree, RIGHT),
        (annotate(bare, eager, None), eager.tree, RIGHT | {Verdict.UNRESOLVED}),
    ]
    true = truth(model, inputs, traced.onnx_path) if can_run(traced.onnx_path) else Truth()
    assert bool(true.modules) is can_run(traced.onnx_path)
    assert [actual for case in reports if (actual := contradicted(true, *case))] == []
    silent = [d for report, *_ in reports for d in report.decisions if not (d.tag or d.reason)]
    assert silent == []
    assert [op for op in eager.ops if op.module is None] == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "exporter"), REFUSED)
def test_what_an_exporter_refuses_is_recorded(name: str, exporter: str, tmp_path: Path) -> None:
    """The exporter really refuses it, in one sentence; a record can be made all the same."""
    model, inputs = UNEXPECTED[name].build()
    with pytest.raises(ExportFailedError, match="record-only"):
        trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    eager = record(model, inputs, tmp_path / "eager.json", exporter="eager").record
    assert eager.ops
    assert [op for op in eager.ops if op.module is None] == []
