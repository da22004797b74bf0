"""The published schemas are those of the classes, and what the commands print obeys them."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from handmade import two_layers_record

from fixtures_gen.schema import SCHEMAS, schema_text
from hierarchy.export_config import ExportConfig
from hierarchy.record import encode_record

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_current(name: str) -> None:
    """`make schema` changes nothing."""
    assert (DOCS / name).read_text() == schema_text(SCHEMAS[name])


def test_no_schema_is_left_over() -> None:
    """Every schema file is generated from a class."""
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.schema.json")}
    assert found == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Each obeys the standard that it names."""
    jsonschema.Draft202012Validator.check_schema(json.loads((DOCS / name).read_text()))


def test_a_record_obeys_its_schema() -> None:
    """What is written is what is published."""
    schema = json.loads((DOCS / "record.schema.json").read_text())
    jsonschema.validate(json.loads(encode_record(two_layers_record())), schema)


def test_the_schema_refuses_what_the_reader_refuses() -> None:
    """An editor that knows the schema marks a key that does not exist."""
    schema = json.loads((DOCS / "export-config.schema.json").read_text())
    jsonschema.validate(msgspec.to_builtins(ExportConfig(opset=17), str_keys=True), schema)
    for wrong in ({"opsett": 17}, {"opset": "17"}, {"inputs": {"x": {"shape": [0]}}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, ExportConfig)
