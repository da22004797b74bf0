"""The published JSON Schemas, generated from the classes of what they describe.

`python -m fixtures_gen.schema docs` writes them all (`make schema`); a test checks that they are
current. Everything that the project writes or reads as JSON has an entry in `SCHEMAS`.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.export_config import ExportConfig
from modelexport.hierarchy.part_manifest import PartManifest
from modelexport.hierarchy.record import FORMAT, VERSION, Record
from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary
from modelexport.pipeline import Diagnosis, ExportResult, PartsPlan, PartsResult
from modelexport.pipeline.batch import Plan, Summary
from modelexport.pipeline.batch.jobs import Job
from modelexport.rewriter import (
    Analysis,
    AnnotateReport,
    Comparison,
    Decision,
    Extraction,
    ModelComparison,
    PartsProfile,
    Profile,
    ProfileComparison,
    Selection,
    Split,
    StripResult,
    Validation,
)


class Published(NamedTuple):
    """One schema.

    Attributes:
        title: Its title.
        type: The class from which it is generated.
    """

    title: str
    type: Any


SCHEMAS: dict[str, Published] = {
    "record.schema.json": Published(f"{FORMAT} {VERSION}", Record),
    "export-config.schema.json": Published("export configuration", ExportConfig),
    "parts.schema.json": Published("parts.json, the manifest of parts", PartManifest),
    "schemas/trace-parts.schema.json": Published(
        "trace and export --parts --output-format json", PartsResult
    ),
    "schemas/annotate-parts.schema.json": Published(
        "annotate FOLDER --output-format json", dict[PartRole, AnnotateReport]
    ),
    "schemas/validate-parts.schema.json": Published(
        "validate FOLDER --output-format json", dict[PartRole, Validation]
    ),
    "schemas/strip-parts.schema.json": Published(
        "strip FOLDER --output-format json", dict[PartRole, StripResult]
    ),
    "schemas/compare-parts.schema.json": Published(
        "compare FOLDER FOLDER --output-format json", dict[PartRole, Comparison]
    ),
    "schemas/select-parts.schema.json": Published(
        "select FOLDER --format json", dict[PartRole, Selection]
    ),
    "schemas/extract-parts.schema.json": Published(
        "extract FOLDER --output-format json", dict[PartRole, Extraction]
    ),
    "schemas/split-parts.schema.json": Published(
        "split FOLDER --output-format json", dict[PartRole, Split]
    ),
    "schemas/profile-parts.schema.json": Published(
        "profile FOLDER --output-format json", PartsProfile
    ),
    "schemas/trace.schema.json": Published("trace --output-format json", TraceSummary),
    "schemas/trace-plan.schema.json": Published("--dry-run --output-format json", TracePlan),
    "schemas/annotate.schema.json": Published("annotate --output-format json", AnnotateReport),
    "schemas/explain.schema.json": Published(
        "annotate --explain --output-format json", list[Decision]
    ),
    "schemas/export.schema.json": Published("export --output-format json", ExportResult),
    "schemas/analyze.schema.json": Published(
        "analyze --output-format json", Analysis | list[Analysis]
    ),
    "schemas/validate.schema.json": Published("validate --output-format json", Validation),
    "batch-plan.schema.json": Published("batch plan", Plan),
    "schemas/batch-jobs.schema.json": Published("batch --dry-run --output-format json", list[Job]),
    "schemas/batch.schema.json": Published("batch --output-format json; summary.json", Summary),
    "schemas/compare.schema.json": Published("compare --output-format json", Comparison),
    "schemas/compare-source.schema.json": Published(
        "compare SOURCE FILE --numeric --output-format json", ModelComparison
    ),
    "schemas/compare-source-parts.schema.json": Published(
        "compare SOURCE FOLDER --numeric --output-format json", dict[PartRole, ModelComparison]
    ),
    "schemas/parts-plan.schema.json": Published(
        "--parts --dry-run --output-format json", PartsPlan
    ),
    "schemas/profile.schema.json": Published("profile --output-format json", Profile),
    "schemas/profile-comparison.schema.json": Published(
        "profile A B --output-format json", ProfileComparison
    ),
    "schemas/extract.schema.json": Published("extract --output-format json", Extraction),
    "schemas/split.schema.json": Published("split --output-format json; manifest.json", Split),
    "schemas/select.schema.json": Published("select --format json", Selection),
    "schemas/strip.schema.json": Published("strip --output-format json", StripResult),
    "schemas/doctor.schema.json": Published("doctor --output-format json", Diagnosis),
}
"""Every schema by its file below docs/."""


def schema_text(published: Published) -> str:
    """The content of a schema's file."""
    schema = msgspec.json.schema(published.type)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = published.title
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def write_schemas(docs: Path) -> None:
    """Write all schemas."""
    for name, published in SCHEMAS.items():
        target = docs / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(schema_text(published))


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
