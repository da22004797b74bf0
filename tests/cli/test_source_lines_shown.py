"""Source lines in what analyze and compare print."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from modelexport.rewriter import annotate
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers_record, with_source_lines

RECORD = with_source_lines(two_layers_record())


@pytest.fixture
def lined(plain: Path) -> Path:
    """An annotated file with source lines."""
    annotate(plain, RECORD, plain.with_name("lines.onnx"), source_lines=True)
    return plain.with_name("lines.onnx")


def _lines_by_module(path: Path) -> dict[str, set[str]]:
    """The lines of the nodes of each tag, as the decisions say."""
    lines: dict[str, set[str]] = {}
    for decision in annotate(path, None, None).decisions:
        lines.setdefault(decision.tag or "", set()).update(decision.source_lines)
    assert any(lines.values())
    return lines


def test_lines_that_nobody_knows_are_told(lined: Path, annotated: Path, run: Run) -> None:
    """The option would write nothing; where lines are known, there is no such note."""
    for path, expected in ((annotated, True), (lined, False)):
        ran = run("annotate", path, "-o", path.with_name(f"out-{path.name}"), "--source-lines")
        assert ran.code == 0
        assert ("no source lines are known" in ran.out) == expected


def test_analyze_has_the_lines_of_each_module(lined: Path, run: Run) -> None:
    """Those of its own nodes, not of the modules inside it."""
    modules = json.loads(run("analyze", lined, "--output-format", "json").out)["modules"]
    expected = _lines_by_module(lined)
    assert {row["tag"]: set(row["source_lines"]) for row in modules} == {
        row["tag"]: expected.get(row["tag"], set()) for row in modules
    }


def test_compare_has_the_lines_of_each_module(lined: Path, annotated: Path, run: Run) -> None:
    """From whichever file knows them."""
    expected = _lines_by_module(lined)
    for sides in ([lined, lined], [lined, annotated], [annotated, lined]):
        modules = json.loads(run("compare", *sides, "--output-format", "json").out)["modules"]
        assert modules
        for row in modules:
            assert set(row["source_lines"]) == expected.get(row["tag"], set())


def test_compare_names_the_line_where_values_diverge(lined: Path, run: Run) -> None:
    """A changed weight: the line of the node that computes the first value that differs."""
    model = onnx.load(lined)
    weight = next(w for w in model.graph.initializer if w.name == "layer.1.fc.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1, weight.name))
    changed = lined.with_name("changed.onnx")
    onnx.save(model, changed)
    ran = run("compare", lined, changed, "--numeric", "--output-format", "json")
    begins = [v for v in json.loads(ran.out)["numeric"]["values"] if v["begins"]]
    assert begins
    by_output = {node.output[0]: op.source for node, op in zip(model.graph.node, RECORD.ops,
                                                              strict=True)}  # fmt: skip
    for value in begins:
        assert value["source_lines"] == [by_output[value["a"]]]
    text = run("compare", lined, changed, "--numeric").out
    assert f"begins at {by_output[begins[0]['a']]}" in text
