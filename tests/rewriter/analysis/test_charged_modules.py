"""A fused node's cost is charged to one module: the same for analyze, profile and split."""

import json
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.rewriter import analyze, split
from modelexport.rewriter.analysis.costs import MacCounter, Shapes, WorkCounter, choose_module
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.profiling.profiled_graph import graph_of_file
from tests.helpers.commands import Run

DIMS = {"N": 2}
INNER, OUTER = "layer.0.fc", "layer.0"


@pytest.fixture
def fused(annotated: Path) -> Path:
    """The nodes of a module have the tag of the module around it, and cover both."""
    model = onnx.load(annotated)
    for node in model.graph.node:
        for entry in node.metadata_props:
            if entry.key == keys.TAG and entry.value == "/Net/layer.0/fc":
                entry.value = "/Net/layer.0"
                covers = json.dumps(["/Net/layer.0", "/Net/layer.0/fc"])
                node.metadata_props.add(key=keys.COVERS, value=covers)
    onnx.save(model, annotated.with_name("fused.onnx"))
    return annotated.with_name("fused.onnx")


def test_analyze_charges_the_module_with_the_work(annotated: Path, fused: Path) -> None:
    """Multiply-accumulates are where they were before the fusion; nodes are where the tags are."""
    before, after = (
        {row.path: row for row in analyze(file, dims=DIMS).modules} for file in (annotated, fused)
    )
    assert after[INNER].macs == before[INNER].macs > 0
    assert [row.macs for row in after.values()] == [row.macs for row in before.values()]
    assert (after[INNER].nodes, after[OUTER].own_nodes) == (0, before[OUTER].nodes)
    assert analyze(fused, dims=DIMS).macs == analyze(annotated, dims=DIMS).macs


def test_rows_of_some_operators_have_their_work(annotated: Path, fused: Path) -> None:
    """With `--op-type`, a module is listed whose work such nodes do."""
    before, after = (
        {row.path: row.macs for row in analyze(f, op_types=["MatMul"], dims=DIMS).modules}
        for f in (annotated, fused)
    )
    assert after == before
    assert after[INNER]


def test_profile_charges_the_same_module(fused: Path) -> None:
    """Each node of the file, by the same rule."""
    with PlacedFile.open(fused) as file:
        macs = MacCounter(Shapes(file.model))
        counter = WorkCounter(file.model, file.tree, file.hierarchy.parameters, macs)
        graph = file.graph
        placed = zip(file.claims, graph.keys, graph.nodes, strict=True)
        charged = [c and counter.charged_module(c, key, node) for c, key, node in placed]
        nodes = graph_of_file(file, {}).nodes
        assert charged == [(n.works and choose_module(n.works, file.tree)) or None for n in nodes]
        assert INNER in charged
        assert INNER not in file.modules


def test_split_balances_the_time_of_such_a_module(run: Run, fused: Path, tmp_path: Path) -> None:
    """The profile has the time of the module that it charged; the nodes that do its work get it."""
    ran = run("profile", fused, "--runs", "1", "--warmup", "0", "--output-format", "json")
    profile = json.loads(ran.out)
    for module in profile["modules"]:
        module["self_time"] = 1e6 if module["path"] == INNER else 1.0
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    result = split(fused, tmp_path / "parts", 2, balance="time", profile=tmp_path / "profile.json")
    product, bias = (node for node in onnx.load(fused).graph.node if INNER in "".join(node.input))
    assert result.parts[1].inputs == list(product.output)
    assert set(product.output) <= set(bias.input)
    assert [part.share for part in result.parts] == pytest.approx([0.5, 0.5], abs=0.01)
