"""`modelexport export`: trace and annotate in one go, all files or none."""

import json
from pathlib import Path

import msgspec
import onnx
import pytest

from fixtures_gen.zoo import FIXTURES
from modelexport.errors import FileProblem, OnnxFileError, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import Exporter, Inject, RecordExporter
from modelexport.hierarchy.export_config import ExportConfig, TraceOptions
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.record import read_record
from modelexport.hierarchy.trace_summary import TracePlan
from modelexport.pipeline import ExportResult, exporting
from modelexport.pipeline import export as run_export
from modelexport.rewriter import AnnotateReport, strip
from modelexport.tracer.exporters.opset_ranges import DYNAMO_MIN_OPSET
from tests.helpers.commands import CommandResult, Run

SOURCE = "fixtures_gen.zoo:suffixed_names"
TORCHSCRIPT = ("--exporter", "torchscript")


pytestmark = pytest.mark.usefixtures("working_folder")


def export(run: Run, *options: str, out: str = "m.onnx") -> CommandResult:
    return run("export", SOURCE, out, *TORCHSCRIPT, *options)


def tags(path: Path) -> list[str | None]:
    nodes = [node for _, node in walk_nodes(onnx.load(path))]
    metadata = [{entry.key: entry.value for entry in node.metadata_props} for node in nodes]
    return [entries.get(keys.TAG) for entries in metadata]


def test_export_is_trace_and_annotate(run: Run, tmp_path: Path) -> None:
    """The file and the record are those that the two commands write one after the other."""
    assert export(run).code == 0
    assert run("trace", SOURCE, "plain.onnx", *TORCHSCRIPT).code == 0
    assert run("annotate", "plain.onnx", "--record", "plain.trace.json", "-o", "a.onnx").code == 0
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "a.onnx").read_bytes()
    assert (tmp_path / "m.trace.json").read_bytes() == (tmp_path / "plain.trace.json").read_bytes()
    assert None not in tags(tmp_path / "m.onnx")


@pytest.mark.parametrize("option", ["--clean-onnx", "--no-hierarchy-attrs"])
def test_a_plain_file_has_its_record_beside_it(run: Run, tmp_path: Path, option: str) -> None:
    """Nothing of the hierarchy is in the file, and the record recognises it."""
    ran = export(run, option)
    model = onnx.load(tmp_path / "m.onnx")
    assert ran.code == 0
    assert not model.metadata_props
    assert set(tags(tmp_path / "m.onnx")) == {None}
    assert read_record(tmp_path / "m.trace.json").digest == graph_digest(model)
    assert "plain" in ran.out


def test_htp_is_the_torchscript_exporter(run: Run, tmp_path: Path) -> None:
    """The name that earlier tools had for it gives the same bytes."""
    export(run)
    assert run("export", SOURCE, "htp.onnx", "--strategy", "htp").code == 0
    assert (tmp_path / "htp.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def test_the_options_of_annotate_arrive(run: Run, tmp_path: Path) -> None:
    """Kinds of injection, style and depth of tags, and the report."""
    options = ["--inject", "attributes", "--inject", "metadata", "--depth", "1"]
    ran = export(run, *options, "--tag-style", "class", "--report", "r.json")
    report = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=AnnotateReport)
    nodes = [node for _, node in walk_nodes(onnx.load(tmp_path / "m.onnx"))]
    written = [{a.name: a.s.decode() for a in n.attribute if a.s} for n in nodes]
    assert ran.code == 0
    assert [attributes.get(keys.TAG_ATTRIBUTE) for attributes in written] == tags(
        tmp_path / "m.onnx"
    )
    assert [decision.tag for decision in report.decisions] == tags(tmp_path / "m.onnx")
    model, _ = FIXTURES["suffixed_names"].build()
    classes = {type(model).__name__, *(type(child).__name__ for child in model.children())}
    steps = {step.partition(".")[0] for tag in tags(tmp_path / "m.onnx") for step in tag.split("/")}
    assert steps - {""} <= classes
    assert (report.file, report.output) == ("m.onnx", "m.onnx")


def test_functions_are_folded(run: Run, tmp_path: Path) -> None:
    """What repeats becomes functions, as with annotate."""
    source = "fixtures_gen.zoo:bert"
    assert run("export", source, "m.onnx", *TORCHSCRIPT, "--inject", "functions").code == 0
    run("trace", source, "p.onnx", *TORCHSCRIPT)
    run("annotate", "p.onnx", "--record", "p.trace.json", "-o", "a.onnx", "--inject", "functions")
    assert onnx.load(tmp_path / "m.onnx").functions
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "a.onnx").read_bytes()


def test_the_result_as_data(run: Run, tmp_path: Path) -> None:
    """Standard output holds the whole result, and nothing else."""
    ran = export(run, "--output-format", "json", "--report", "r.json")
    result = msgspec.json.decode(ran.out, type=ExportResult)
    assert ran.err == ""
    assert set(result.files) == {path.name for path in tmp_path.iterdir()}
    assert result.hierarchy == (Inject.METADATA,)
    assert result.trace.exporter == read_record(tmp_path / "m.trace.json").source.exporter
    assert [decision.tag for decision in result.annotation.decisions] == tags(tmp_path / "m.onnx")


def test_a_report_on_standard_output(run: Run, tmp_path: Path) -> None:
    """Standard output has only the report; the rest goes to standard error."""
    ran = export(run, "--report", "-")
    report = msgspec.json.decode(ran.out, type=AnnotateReport)
    assert [decision.tag for decision in report.decisions] == tags(tmp_path / "m.onnx")
    assert f"{report.resolved} of {report.nodes} nodes tagged" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.trace.json"]


@pytest.mark.parametrize("command", ["export", "trace"])
def test_a_dry_run_writes_nothing(run: Run, tmp_path: Path, command: str) -> None:
    """It says what would be done, by the model itself."""
    options = ["--dynamic", "--opset", "15", "--dry-run"]
    ran = run(command, SOURCE, "m.onnx", *options, "--output-format", "json")
    plan = msgspec.json.decode(ran.out, type=TracePlan)
    model, inputs = FIXTURES["suffixed_names"].build()
    assert list(tmp_path.iterdir()) == []
    assert plan.class_name == f"{type(model).__module__}.{type(model).__qualname__}"
    assert plan.modules == len(list(model.named_modules(remove_duplicate=False)))
    assert plan.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert isinstance(inputs, tuple)
    assert [len(value.shape) for value in plan.inputs] == [tensor.dim() for tensor in inputs]
    assert {extent for value in plan.inputs for extent in value.shape} == {"?"}
    assert plan.files == ("m.onnx", "m.trace.json")
    text = run(command, SOURCE, "m.onnx", *options).out
    exporters = [exporter.name for exporter in plan.exporters]
    assert exporters
    assert [name for name in exporters if name in text] == exporters
    run(command, SOURCE, "m.onnx", *TORCHSCRIPT, "--opset", "15")
    written = read_record(tmp_path / "m.trace.json").source
    assert (written.exporter, written.opset) in {(e.name, e.opset) for e in plan.exporters}
    lowest = {e.name: e.else_opset for e in plan.exporters}
    assert lowest == {Exporter.DYNAMO: DYNAMO_MIN_OPSET, Exporter.TORCHSCRIPT: None}


def test_a_dry_run_refuses_what_would_be_refused(run: Run, tmp_path: Path) -> None:
    """It refuses to overwrite an existing file, as the real run would."""
    (tmp_path / "m.trace.json").write_text("not ours")
    assert export(run, "--dry-run").code == 2
    assert export(run, "--dry-run", "--force").code == 0
    assert (tmp_path / "m.trace.json").read_text() == "not ours"


def test_strict_answers_with_the_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """1 when a node is unresolved; the files are written all the same."""
    assert export(run, "--strict").code == 0
    annotate = exporting.annotate

    def doubtful(*args: object, **options: object) -> AnnotateReport:
        report = annotate(*args, **options)  # type: ignore[arg-type]
        return msgspec.structs.replace(report, unresolved=report.unresolved + 1)

    monkeypatch.setattr(exporting, "annotate", doubtful)
    assert export(run, "--strict", "--force").code == 1


def test_a_failure_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Annotating fails after tracing: no file is left, and the sentence names the target."""

    def refuse(path: Path, *_: object, **__: object) -> AnnotateReport:
        raise OnnxFileError(f"{path}: no luck.")

    monkeypatch.setattr(exporting, "annotate", refuse)
    ran = export(run, "--report", "r.json")
    assert (ran.code, ran.out, ran.err) == (2, "", "modelexport: m.onnx: no luck.\n")
    assert list(tmp_path.iterdir()) == []


def test_what_there_was_survives_a_failure(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --force, too, files are replaced by finished ones only."""

    def interrupt(*_: object, **__: object) -> AnnotateReport:
        raise KeyboardInterrupt

    for name in ("m.onnx", "m.trace.json"):
        (tmp_path / name).write_text("not ours")
    monkeypatch.setattr(exporting, "annotate", interrupt)
    assert export(run, "--force").code == 130
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "m.onnx": "not ours",
        "m.trace.json": "not ours",
    }


def test_large_weights_stay_in_a_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are too large for one file are in a file beside it, which it refers to."""
    monkeypatch.setattr("modelexport.tracer.exporters.model_file.MAX_WEIGHT_BYTES", 0)
    model, inputs = FIXTURES["bert"].build()
    options = TraceOptions(exporter=Exporter.TORCHSCRIPT)
    result = run_export(model, tmp_path / "m.onnx", inputs=inputs, trace_options=options)
    assert set(result.files) == {str(path) for path in tmp_path.iterdir()}
    assert str(tmp_path / "m.onnx.data") in result.files
    onnx.checker.check_model(tmp_path / "m.onnx")
    separate = {tensor.name: tensor for tensor in onnx.load(tmp_path / "m.onnx").graph.initializer}
    monkeypatch.undo()
    whole = run_export(model, tmp_path / "w.onnx", inputs=inputs, trace_options=options)
    tensors = onnx.load(whole.files[0]).graph.initializer
    assert tensors
    for tensor in tensors:
        assert onnx.numpy_helper.to_array(tensor).tobytes() == (
            onnx.numpy_helper.to_array(separate[tensor.name]).tobytes()
        )


def test_from_python(tmp_path: Path) -> None:
    """A module and its inputs work like a source; the record goes where the caller wants it."""
    model, inputs = FIXTURES["suffixed_names"].build()
    (tmp_path / "records").mkdir()
    result = run_export(
        model,
        tmp_path / "m.onnx",
        inputs=inputs,
        record=tmp_path / "records" / "r.json",
        trace_options=TraceOptions(exporter=Exporter.TORCHSCRIPT),
        annotate_options=AnnotateOptions(inject=(Inject.NAMES,)),
    )
    record = read_record(tmp_path / "records" / "r.json")
    strip(tmp_path / "m.onnx", tmp_path / "plain.onnx")
    assert graph_digest(onnx.load(tmp_path / "plain.onnx")) == record.digest
    assert result.annotation.resolved == len(record.ops)
    assert json.loads(msgspec.json.encode(result))["trace"]["nodes"] == len(record.ops)


def test_one_file_cannot_be_two(tmp_path: Path) -> None:
    """The report, the record and the model are files of their own."""
    model, inputs = FIXTURES["suffixed_names"].build()
    target = tmp_path / "m.onnx"
    for options in ({"record": target}, {"report": target}, {"report": tmp_path / "m.trace.json"}):
        with pytest.raises(FileProblem, match="one file"):
            run_export(model, target, inputs=inputs, **options)
    eager = TraceOptions.from_config(ExportConfig(), exporter=RecordExporter.EAGER)
    with pytest.raises(UsageError, match="record-only"):
        run_export(model, target, inputs=inputs, trace_options=eager)
    assert list(tmp_path.iterdir()) == []
