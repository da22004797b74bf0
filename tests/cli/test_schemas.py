"""The published schemas are those of the classes, and what the commands print obeys them."""

import json
import shlex
from pathlib import Path

import jsonschema
import msgspec
import pytest

from fixtures_gen.schema import SCHEMAS, schema_text
from modelexport.hierarchy.export_config import ExportConfig
from modelexport.hierarchy.record import encode_record
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers_record

SOURCE = "fixtures_gen.zoo:suffixed_names"
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_current(name: str) -> None:
    """`make schema` changes nothing."""
    assert (DOCS / name).read_text() == schema_text(SCHEMAS[name])


def test_no_schema_is_left_over() -> None:
    """Every schema file is generated from a class."""
    files = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.schema.json")}
    assert files == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Each obeys the standard that it names."""
    jsonschema.Draft202012Validator.check_schema(json.loads((DOCS / name).read_text()))


def test_a_record_obeys_its_schema() -> None:
    """What is written is what is published."""
    schema = json.loads((DOCS / "record.schema.json").read_text())
    jsonschema.validate(json.loads(encode_record(two_layers_record())), schema)


LINES = {
    "trace": f"trace {SOURCE} t.onnx --exporter torchscript",
    "trace-plan": f"export {SOURCE} t.onnx --dynamic --dry-run",
    "export": f"export {SOURCE} e.onnx --exporter torchscript",
    "annotate": "annotate plain.onnx --record plain.trace.json -o b.onnx",
    "explain": "annotate plain.onnx --record plain.trace.json --explain '#1' --explain '#4'",
    "analyze": "analyze a.onnx",
    "extract": "extract a.onnx layer.0 -o part.onnx --check",
    "split": "split a.onnx --parts 2 -o parts --check",
    "select": "select a.onnx --module layer.0",
    "validate": "validate a.onnx",
    "profile": "profile a.onnx --runs 2 --threads 1",
    "doctor": "doctor",
}


@pytest.mark.usefixtures("working_folder", "annotated", "plain_record")
@pytest.mark.parametrize(("schema", "line"), LINES.items(), ids=LINES.keys())
def test_what_commands_print_obeys_its_schema(
    schema: str,
    line: str,
    run: Run,
) -> None:
    """`--output-format json` gives what is published, whole and alone."""
    ran = run(*shlex.split(line), "--output-format", "json")
    assert (ran.code, ran.err) == (0, "")
    published = json.loads((DOCS / f"schemas/{schema}.schema.json").read_text())
    jsonschema.validate(json.loads(ran.out), published)


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    """An editor that knows the schema marks a key that does not exist."""
    schema = json.loads((DOCS / "export-config.schema.json").read_text())
    jsonschema.validate(msgspec.to_builtins(ExportConfig(opset=17), str_keys=True), schema)
    for wrong in ({"opsett": 17}, {"opset": "17"}, {"inputs": {"x": {"shape": [0]}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, ExportConfig)
