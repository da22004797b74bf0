"""Model Explorer: nodes are grouped by module, and times are those of its nodes."""

import json
import warnings
from pathlib import Path
from typing import Any

import onnx
import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.profile_options import ProfileFiles
from modelexport.rewriter import annotate, profile
from tests.helpers.handmade import layers


def _graph(path: Path) -> Any:
    """The graph as Model Explorer's own loader of ONNX files reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        from model_explorer_onnx.main import ONNXAdapter  # noqa: PLC0415 - it warns

        (graph,) = ONNXAdapter().convert(str(path), {})["graphs"]
    return graph


@pytest.mark.parametrize("names", [False, True])
def test_timings_are_shown_on_nodes_below_their_modules(tmp_path: Path, *, names: bool) -> None:
    """Each node stands in the group of its tag, and each value has the name of a node."""
    model, record = layers("Relu", "Tanh", "Relu")
    onnx.save(model, tmp_path / "net.onnx")
    inject = [Inject.METADATA, *([Inject.NAMES] if names else [])]
    annotate(tmp_path / "net.onnx", record, tmp_path / "a.onnx", inject=inject)
    files = ProfileFiles(node_data=tmp_path / "t.json", save_optimised=tmp_path / "o.onnx")
    result = profile(tmp_path / "a.onnx", runs=2, sessions=1, warmup=1, threads=1, files=files)
    optimised = onnx.load(tmp_path / "o.onnx").graph.node
    shown = {node.id: node for node in _graph(tmp_path / "o.onnx").nodes}
    tags = {
        node.name: entry.value.strip("/")
        for node in optimised
        for entry in node.metadata_props
        if entry.key == keys.TAG
    }
    assert len(tags) == len(optimised) > 0
    groups = {name: shown[name].namespace.partition("/")[2] for name in tags}
    assert groups == tags
    values = json.loads((tmp_path / "t.json").read_text())["results"]
    assert values.keys() == tags.keys()
    assert sum(entry["value"] for entry in values.values()) == pytest.approx(result.node_time)
