"""The published JSON Schema of the trace record, generated from its classes.

`python -m fixtures_gen.schema docs/record.schema.json` writes it; a test holds it current.
"""

import json
import sys
from pathlib import Path

import msgspec

from hierarchy.record import FORMAT, VERSION, Record


def record_schema() -> str:
    """The schema as text."""
    schema = msgspec.json.schema(Record)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"{FORMAT} {VERSION}"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(record_schema())
