"""Selecting, ordering and printing what analyze finds, of one file or of several."""

import csv
import io
import json
from pathlib import Path

import msgspec
import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter import Numeric, analyze, compare
from tests.helpers.commands import Run, modelexport
from tests.helpers.handmade import two_layers


@pytest.mark.parametrize("path", ["layer.0", "layer.1", "layer.1.fc"])
def test_a_module_and_what_is_below_it(annotated: Path, path: str) -> None:
    """By path or by tag; the rows are those of the whole."""
    every = analyze(annotated).modules
    below = [row for row in every if is_within(row.path, path)]
    assert analyze(annotated, module=path).modules == below
    assert analyze(annotated, module=below[0].tag).modules == below
    assert analyze(annotated, module=path, depth=0).modules == below[:1]


def test_a_module_that_is_not_there(annotated: Path) -> None:
    """Refused, with what comes near."""
    with pytest.raises(UsageError, match=r"layer\.1"):
        analyze(annotated, module="layer.11")


@pytest.mark.parametrize("kind", sorted({node.op_type for node in two_layers().graph.node}))
def test_one_operator(annotated: Path, kind: str) -> None:
    """Only its nodes are counted, and only modules that have some are shown."""
    every = {row.tag: row for row in analyze(annotated).modules}
    rows = analyze(annotated, op_types=[kind]).modules
    assert rows
    assert [r.tag for r in rows[1:]] == [t for t, r in every.items() if kind in r.op_types][1:]
    for row in rows:
        assert row.nodes == every[row.tag].op_types.get(kind, 0)
        assert set(row.op_types) <= {kind}


@pytest.mark.parametrize(
    ("sort", "of"),
    [
        ("nodes", "nodes"),
        ("params", "parameters"),
        ("macs", "macs"),
        ("bytes", "weight_bytes"),
        ("name", "tag"),
    ],
)
def test_orders(annotated: Path, sort: str, of: str) -> None:
    """The greatest first, names from the beginning; nothing is lost."""
    rows = analyze(annotated, sort=sort, dims={"N": 2}).modules
    figures = [getattr(row, of) for row in rows]
    assert figures == sorted(figures, reverse=sort != "name")
    assert {row.tag for row in rows} == {row.tag for row in analyze(annotated).modules}


def test_an_order_that_is_not_there(annotated: Path) -> None:
    """Refused, with those that are."""
    with pytest.raises(UsageError, match="'size'; choose from model, name"):
        analyze(annotated, sort="size")


def test_unresolved_nodes_are_listed(annotated: Path, run: Run) -> None:
    """Each with its place and the reason; in JSON always."""
    model = onnx.load(annotated)
    bare = model.graph.node[3]
    del bare.metadata_props[:]
    onnx.save(model, annotated)
    nodes = json.loads(run("analyze", annotated, "--output-format", "json").out)["unresolved"]
    assert [(node["position"], node["name"]) for node in nodes] == [(3, bare.name)]
    assert nodes[0]["reason"]
    for form in ("tree", "table", "summary", "markdown"):
        shown = run("analyze", annotated, "--unresolved", "--output-format", form)
        assert bare.name in shown.out
        assert nodes[0]["reason"] in shown.out
    assert run("analyze", annotated, "--unresolved", "--output-format", "csv").code == 2


def _notes(path: Path, name: str | None = None) -> list[str]:
    """The notes on a file, as the command prints them."""
    return [f"{name or path.name}: note: {note}" for note in analyze(path).notes]


@pytest.mark.parametrize("form", ["tree", "table", "summary", "markdown", "csv", "json"])
def test_several_files(annotated: Path, run: Run, form: str) -> None:
    """Both are named, and every module is there."""
    plain = annotated.with_name("plain.onnx")
    ran = run("analyze", annotated, plain, "--output-format", form)
    notes = [] if form == "json" else [*_notes(annotated), *_notes(plain)]
    assert (ran.code, ran.err.splitlines()) == (0, notes)
    if form != "csv" or analyze(plain).modules:  # a line a module
        assert all(path.name in ran.out for path in (annotated, plain))
    if form == "json":
        assert [one["file"] for one in json.loads(ran.out)] == [annotated.name, plain.name]
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(ran.out)))
        both = [
            (path.name, row.macs) for path in (annotated, plain) for row in analyze(path).modules
        ]
        assert [(row["file"], int(row["macs"])) for row in rows] == both


def test_markdown_is_tables(annotated: Path, run: Run) -> None:
    """Every line of a table has as many cells as its head."""
    ran = run("analyze", annotated, "--output-format", "markdown")
    for block in ran.out.strip().split("\n\n"):
        cells = [line.count("|") for line in block.splitlines()]
        assert len(set(cells)) == 1
    rows = analyze(annotated).modules
    tags = {row.tag for row in rows if row.class_name != "ModuleList"}
    assert tags
    assert {tag for tag in tags if f"| {tag} |" in ran.out} == tags


@pytest.mark.parametrize("command", ["analyze", "validate"])
def test_standard_input(annotated: Path, command: str) -> None:
    """- reads what comes in; nothing is bad input."""
    by_pipe = modelexport(command, "-", cwd=annotated.parent, stdin=annotated.read_bytes())
    notes = _notes(annotated, "stdin.onnx") if command == "analyze" else []
    assert (by_pipe.code, by_pipe.err.splitlines()) == (0, notes)
    empty = modelexport(command, "-", cwd=annotated.parent)
    assert (empty.code, empty.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("text", ["N", "N=x", "=3", "M=3"])
def test_wrong_dimensions(annotated: Path, run: Run, text: str) -> None:
    """One sentence that names what was given."""
    ran = run("analyze", annotated, "--dim", text)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert text.partition("=")[0] in ran.err


def test_a_notebook_shows_trees_and_tables(annotated: Path) -> None:
    """Every module is in the HTML, under the one above it, and names are escaped."""
    analysis = analyze(annotated)
    html = analysis._repr_html_()
    rows = [row for row in analysis.modules if row.class_name != "ModuleList"][:3]
    places = [html.index(f"<b>{row.tag.rpartition('/')[2]}</b>") for row in rows]
    assert places == sorted(places)
    assert html.count("<details") == html.count("</details>")
    assert "<script>" not in msgspec.structs.replace(analysis, file="<script>")._repr_html_()
    plain = compare(annotated, annotated, numeric=Numeric())
    assert analysis.modules[0].tag in plain._repr_html_()
    assert "no difference" in plain._repr_html_()


@pytest.mark.parametrize("name", ["layer", "/Net/layer"])
def test_a_list_of_modules(annotated: Path, name: str) -> None:
    """It has the figures of its modules, which are a step below it."""
    every = analyze(annotated).modules
    listed = [row for row in every if row.path == "layer" or row.path.startswith("layer.")]
    assert analyze(annotated, module=name).modules == listed
    assert analyze(annotated, module=name, depth=0).modules == listed[:1]
    below = [row.path for row in analyze(annotated, module=name, depth=1).modules]
    assert below == ["layer", "layer.0", "layer.1"]
    assert listed[0].nodes == sum(row.nodes for row in listed if row.path in below[1:])
