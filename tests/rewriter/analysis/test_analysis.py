"""Counting nodes, operators and parameters by module."""

import math
from collections import Counter
from pathlib import Path

import onnx

from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.tags import TagRules
from modelexport.rewriter import analyze, annotate
from tests.helpers.handmade import number_weights, two_layers, two_layers_record


def test_rows_add_up_along_the_tree(plain: Path, tmp_path: Path) -> None:
    """A module's totals are those of all nodes and parameters at or below it."""
    report = annotate(plain, two_layers_record(), tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    weights = {w.name: math.prod(w.dims) for w in two_layers().graph.initializer}
    assert analysis.parameters == sum(weights.values())
    assert analysis.modules
    for row in analysis.modules:
        inside = [d for d in report.decisions if is_within(d.module or "", row.path)]
        assert row.nodes == len(inside)
        assert row.op_types == dict(Counter(d.op_type for d in inside).most_common())
        assert row.own_nodes == sum(d.module == row.path for d in inside)
        held = sum(size for name, size in weights.items() if is_within(name, row.path))
        assert row.parameters == held
        assert row.share == held / analysis.parameters


def test_the_summary_counts_the_file(plain: Path, tmp_path: Path) -> None:
    """Totals, coverage and evidence agree with the report of the annotation."""
    report = annotate(plain, two_layers_record(), tmp_path / "a.onnx")
    analysis = analyze(tmp_path / "a.onnx")
    assert (analysis.nodes, analysis.tagged, analysis.coverage) == (
        report.nodes,
        report.resolved,
        1.0,
    )
    assert analysis.evidence == report.evidence
    assert analysis.opset == {"ai.onnx": 17}
    assert sum(analysis.op_types.values()) == report.nodes


def test_modules_that_share_a_tag_share_a_row(plain: Path, tmp_path: Path) -> None:
    """Rolled up and by class, no row is lost and none is counted twice."""
    rules = TagRules(TagStyle.CLASS, TorchNN.ROLL_UP)
    annotate(plain, two_layers_record(), tmp_path / "a.onnx", rules=rules)
    analysis = analyze(tmp_path / "a.onnx")
    tags = [row.tag for row in analysis.modules]
    assert len(tags) == len(set(tags))
    assert sum(row.own_nodes for row in analysis.modules) == analysis.nodes
    assert sum(row.own_parameters for row in analysis.modules) == analysis.parameters


def test_a_plain_file_is_counted_without_modules(tmp_path: Path) -> None:
    """Without any hierarchy there are totals and no rows."""
    onnx.save(number_weights(two_layers()), tmp_path / "plain.onnx")
    analysis = analyze(tmp_path / "plain.onnx")
    assert (analysis.source, analysis.tagged, analysis.modules) == (None, 0, [])
    assert analysis.nodes == len(two_layers().graph.node)


def test_parents_stand_before_children(plain: Path, tmp_path: Path) -> None:
    """Each row is preceded by the row of the module above it."""
    annotate(plain, two_layers_record(), tmp_path / "a.onnx")
    rows = analyze(tmp_path / "a.onnx").modules
    assert rows
    for number, row in enumerate(rows):
        above = [earlier for earlier in rows[:number] if is_within(row.path, earlier.path)]
        lists = [earlier for earlier in above if earlier.class_name == "ModuleList"]
        assert len(above) - len(lists) == row.depth
