"""The published JSON Schemas of batch plans and of their summaries, generated from the classes.

`python -m fixtures_gen.batch_schema docs` writes them; a test holds them current.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from pipeline.batch import Plan, Summary

DIALECT = "https://json-schema.org/draft/2020-12/schema"

SCHEMAS: dict[str, tuple[type[Any], str]] = {
    "batch-plan.schema.json": (Plan, "modelexport batch plan"),
    "batch-summary.schema.json": (Summary, "modelexport batch summary"),
}
"""File name in docs/ to what it describes."""


def schema_text(name: str) -> str:
    """One schema as text."""
    kind, title = SCHEMAS[name]
    schema = msgspec.json.schema(kind)
    schema["$schema"] = DIALECT
    schema["title"] = title
    return json.dumps(_dedented(schema), indent=2, sort_keys=True) + "\n"


def _dedented(part: Any) -> Any:
    """Descriptions without their indentation, which newer Pythons do not keep in docstrings."""
    if isinstance(part, dict):
        return {
            name: inspect.cleandoc(value)
            if name == "description" and isinstance(value, str)
            else _dedented(value)
            for name, value in part.items()
        }
    return [_dedented(each) for each in part] if isinstance(part, list) else part


if __name__ == "__main__":
    for name in SCHEMAS:
        Path(sys.argv[1], name).write_text(schema_text(name))
