"""The CSV of QNN's profile viewer: cycles of each operator on the accelerator."""

import csv
import re

from modelexport.rewriter.profiling.recorded_profile import (
    CYCLES,
    MICROSECONDS,
    RecordedLayer,
    RecordedProfile,
)

CSV_HEAD = "Msg Timestamp,Message,Time,Unit of Measurement"
_OPERATOR = re.compile(r"^(.+?)(?:\s+|:)OpId_\d+")
_TOKEN = re.compile(r"_token_\d+(?:_\d+)?")
"""What the compiler adds to names of operators that it split."""


def read_qnn(text: str) -> RecordedProfile:
    """Read the CSV. An operator that occurs again begins another run."""
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    times: dict[str, list[float]] = {}
    sources: dict[str, tuple[str, ...]] = {}
    unit = CYCLES
    for row in rows:
        identifier = (row.get("Event Identifier") or "").strip()
        operator = _OPERATOR.match(identifier)
        if operator is None or (row.get("Message") or "").strip() != "NODE":
            continue
        times.setdefault(identifier, []).append(float(row["Time"]))
        unit = CYCLES if "CYCLE" in row["Unit of Measurement"].upper() else MICROSECONDS
        listed = (row.get("ONNX Source Ops") or "").split(";")
        names = [name.strip() for name in listed if name.strip()]
        sources[identifier] = tuple(names) or (operator[1], _TOKEN.sub("", operator[1]))
    runs = min(map(len, times.values()), default=0)
    layers = tuple(
        RecordedLayer(name, "", tuple(values[:runs]), sources=sources[name])
        for name, values in times.items()
    )
    return RecordedProfile("QNN", layers, runs, unit=unit)
