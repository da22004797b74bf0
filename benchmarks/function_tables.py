"""The tables of what folding gives, as the page docs/functions.md."""

from collections import Counter
from typing import Any

Row = dict[str, Any]

INTRODUCTION = """\
# Functions

`modelexport annotate --inject functions` turns module calls into ONNX local functions. The
page [folding.md](folding.md) says how; this one is written by `make functions`
(`benchmarks/functions.py`), and the numbers as data to `temp/functions.json`.

Every row is one export of a small model of its family (the real MiniLM excepted), folded as
it was exported and after onnxruntime's basic optimisations. *Outside* are the nodes of the
folded main graph that are no calls, *inside* those of all functions. Each file is checked, folded
with `--functions repeated` and with `nested`: onnx's full checker passes; onnxruntime gives the
same bits without optimisations, and outputs within 1e-5 with them; `strip --functions` brings
back the operators, onnx's own inliner too (constants apart, which it leaves as nodes); onnx's
reference evaluator, onnx-ir and graphsurgeon load it.
"""


def page(rows: list[Row], scales: list[Row], latencies: Row) -> str:
    """The page."""
    parts = [INTRODUCTION, _families(rows), _told(rows), _growth(rows)]
    parts += [_scaling(scales)] if scales else []
    parts += [_latency(latencies)] if latencies else []
    return "\n".join(parts)


def _families(rows: list[Row]) -> str:
    lines = [
        "| family | exporter | shapes | file | nodes | outside | calls | inside | functions | ok |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        case = f"| {row['family']} | {row['exporter']} | {row['shapes']} |"
        if "not_exported" in row:
            lines.append(f"{case} not exported | | | | | | |")
            continue
        functions = ", ".join(f"{name} x{calls}" for name, calls, _ in row["prototypes"])
        outside = row["main"] - row["calls"]
        holds = "yes" if not row["faults"] else "; ".join(row["faults"])
        lines.append(
            f"{case} {row['file']} | {row['nodes']} | {outside} | {row['calls']} | "
            f"{row['inside']} | {functions or 'none'} | {holds} |"
        )
    return "\n".join(lines) + "\n"


def _told(rows: list[Row]) -> str:
    """What the reports say about blocks that do not share, each sentence once."""
    lines = ["## What does not share, and why", ""]
    cases_of: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        for sentence in row.get("told", ()):
            case = f"{row['exporter']}, {row['shapes']}, {row['file']}"
            cases_of.setdefault((row["family"], sentence), Counter())[case] += 1
    for (family, sentence), cases in cases_of.items():
        where = next(iter(cases)) + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")
        lines.append(f"- {family} ({where}): {sentence}")
    for row in rows:
        if not row.get("flat_loads_optimised", True):
            case = f"{row['family']} ({row['exporter']}, {row['shapes']}, {row['file']})"
            lines.append(
                f"- {case}: onnxruntime optimised the flat file and then refuses it itself"
            )
    missing = [row for row in rows if "not_exported" in row]
    for row in missing:
        case = f"{row['family']} ({row['exporter']}, {row['shapes']})"
        lines.append(f"- {case} could not be exported: {row['not_exported']}")
    return "\n".join(lines) + "\n"


def _growth(rows: list[Row]) -> str:
    """Nodes other than calls, by number of layers."""
    lines = ["## More layers, the same graph", ""]
    lines += [
        "| llama | exporter | shapes | nodes | folded, without calls |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        if row["family"].startswith("llama") and row.get("file") == "exported":
            size = row["main"] - row["calls"] + row["inside"]
            lines.append(
                f"| {row['family'].partition(', ')[2]} | {row['exporter']} | {row['shapes']} | "
                f"{row['nodes']} | {size} |"
            )
    return "\n".join(lines) + "\n"


def _scaling(scales: list[Row]) -> str:
    lines = ["## Time and memory", ""]
    lines.append("`annotate --inject functions` on chains of blocks of ten nodes:")
    lines += ["", "| nodes | file, MB | seconds | private memory added, MB |", "|---|---|---|---|"]
    lines += [
        f"| {r['nodes']} | {r['megabytes']} | {r['seconds']} | {r['added']} |" for r in scales
    ]
    return "\n".join(lines) + "\n"


def _latency(latencies: Row) -> str:
    lines = ["## Loading and running", ""]
    lines.append(
        "A BERT of 12 layers, 384 wide, in onnxruntime with all optimisations, one thread, medians:"
    )
    lines += ["", "| file | load, ms | run, ms |", "|---|---|---|"]
    lines += [f"| {name} | {r['load_ms']} | {r['run_ms']} |" for name, r in latencies.items()]
    return "\n".join(lines) + "\n"
