"""Times by line of Python."""

import csv
import io
import json
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import annotate, profile
from modelexport.rewriter.analysis.costs import Work
from modelexport.rewriter.profiling.file_work import choose_line
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record, with_source_lines

RECORD = with_source_lines(two_layers_record())
LINES = {op.name: op.source for op in RECORD.ops}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """An annotated file with source lines, one without, and the record."""
    onnx.save(two_layers(), tmp_path / "net.onnx")
    annotate(tmp_path / "net.onnx", RECORD, tmp_path / "lines.onnx", source_lines=True)
    annotate(tmp_path / "net.onnx", RECORD, tmp_path / "plain.onnx")
    (tmp_path / "net.trace.json").write_bytes(encode_record(RECORD))
    return tmp_path / "lines.onnx", tmp_path / "plain.onnx", tmp_path / "net.trace.json"


@pytest.mark.parametrize("level", ["disable", "all"])
def test_times_of_lines_add_up(files: tuple[Path, Path, Path], level: str) -> None:
    """All time is in lines; at level disable each node is of its own line."""
    result = profile(files[0], level=level, runs=3, warmup=0, threads=1)
    assert sum(row.time for row in result.lines) == pytest.approx(result.node_time)
    assert sum(row.nodes for row in result.lines) == len(result.nodes)
    times = [row.time for row in result.lines]
    assert times == sorted(times, reverse=True)
    assert {line for node in result.nodes for line in node.source_lines} <= set(LINES.values())
    if level == "disable":
        expected = [(LINES[node.name],) for node in result.nodes]
        assert [node.source_lines for node in result.nodes] == expected


def test_a_record_gives_the_lines(files: tuple[Path, Path, Path]) -> None:
    """An annotated file that was written without lines gets them from its record."""
    _, plain, record = files
    options = {"level": "disable", "runs": 1, "warmup": 0, "threads": 1}
    assert profile(plain, **options).lines == []  # type: ignore[arg-type]
    rows = profile(plain, record=record, **options).lines  # type: ignore[arg-type]
    assert {row.line for row in rows} <= set(LINES.values())
    assert rows


def test_only_lines_of_a_module_are_listed(files: tuple[Path, Path, Path]) -> None:
    """With --module, the lines are those of its nodes."""
    result = profile(files[0], level="disable", runs=1, warmup=0, threads=1, module="layer.1")
    inside = [node for node in result.nodes if (node.module or "").startswith("layer.1")]
    expected = {LINES[node.name] for node in inside}
    assert 0 < len(expected) < len(result.nodes)
    assert {row.line for row in result.lines} == expected


@pytest.mark.parametrize(
    ("works", "line"),
    [
        ({"a:1": Work(1, 9), "a:2": Work(2, 0)}, "a:2"),
        ({"a:1": Work(), "a:2": Work(0, 1)}, "a:2"),
        ({"a:1": Work(), "a:2": Work()}, "a:1"),
        ({}, None),
    ],
)
def test_the_line_with_the_most_work_is_charged(works: dict[str, Work], line: str | None) -> None:
    """Multiply-accumulates decide, then weights; of equals the first line."""
    assert choose_line(works) == line


@pytest.mark.parametrize("output_format", ["tree", "table", "markdown", "csv", "json"])
def test_lines_are_printed(files: tuple[Path, Path, Path], run: Run, output_format: str) -> None:
    """Each format has all lines."""
    ran = run(
        "profile", files[0], "--by", "line", "--runs", "1", "--warmup", "0", "--level", "disable",
        "--output-format", output_format,
    )  # fmt: skip
    assert ran.code == 0
    if output_format == "json":
        lines = {row["line"] for row in json.loads(ran.out)["lines"]}
    elif output_format == "csv":
        lines = {row["line"] for row in csv.DictReader(io.StringIO(ran.out))}
    else:
        lines = {line for line in LINES.values() if line and f"{line} " in ran.out}
    executed = {line for name, line in LINES.items() if name != "first"}  # a constant does not run
    assert lines == executed


def test_lines_of_two_files_are_side_by_side(files: tuple[Path, Path, Path], run: Run) -> None:
    """Each line has its time in both."""
    short = ("--runs", "1", "--warmup", "0", "--level", "disable")
    ran = run("profile", files[0], files[0], "--by", "line", *short, "--output-format", "json")
    rows = json.loads(ran.out)["lines"]
    assert rows
    assert all(row["a"] is not None and row["b"] is not None for row in rows)
    assert run("profile", files[0], files[0], "--by", "line", *short).code == 0


def test_a_file_without_lines_is_refused(files: tuple[Path, Path, Path], run: Run) -> None:
    """One sentence that says how to get them."""
    ran = run("profile", files[1], "--by", "line", "--runs", "1", "--warmup", "0")
    assert ran.code == 2
    assert "--record" in ran.err
    assert "--source-lines" in ran.err
