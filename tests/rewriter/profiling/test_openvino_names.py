"""Changes of type and layout in openvino's reports: their names have both sides."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.profile_options import ImportedProfile
from modelexport.rewriter import annotate, profile
from modelexport.rewriter.profiling.importers.openvino_files import read_openvino_csv
from tests.helpers.handmade import TWO_LAYERS_SCOPES, two_layers, two_layers_record

NODES = [node.name for node in two_layers().graph.node]
MODULES = dict(zip(NODES, TWO_LAYERS_SCOPES, strict=True))
Layer = tuple[str, str]
"""Name and kind."""


def _csv(layers: Sequence[Layer]) -> str:
    head = "layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms)"
    rows = [f"{name};Status.EXECUTED;{kind};jit;0.001;0.001" for name, kind in layers]
    return "\n".join([head, *rows])


def _json(layers: Sequence[Layer]) -> str:
    state = {"status": "Status.EXECUTED", "real_time": "0.001"}
    nodes = [{"name": name, "node_type": kind, **state} for name, kind in layers]
    return json.dumps({"report_type": "detailed", "detailed_performance": [{"nodes": nodes}]})


@pytest.mark.parametrize("write", [_csv, _json])
def test_they_are_charged_to_the_module_around_both_sides(
    tmp_path: Path, write: Callable[[Sequence[Layer]], str]
) -> None:
    """Or of the layer that reads it, where that is the root. Unknown sides give no module."""
    record = two_layers_record()
    onnx.save(two_layers(), tmp_path / "net.onnx")
    annotate(tmp_path / "net.onnx", record, tmp_path / "a.onnx")
    pairs = list(itertools.pairwise(name for name in NODES if MODULES[name]))
    changes = [f"{before}_f32_bf16_{after}" for before, after in pairs]
    unknown = "unknown_f32_bf16_unknown"
    layers = [(name, "Any") for name in NODES]
    layers += [(name, "Reorder") for name in (*changes, unknown)]
    (tmp_path / "p").write_text(write(layers))
    result = profile(tmp_path / "a.onnx", imported=ImportedProfile(path=tmp_path / "p"))
    modules = {node.name: node.module for node in result.nodes}
    tree = ModuleTree(record.modules)
    expected = [tree.common_ancestor([MODULES[a], MODULES[b]]) or MODULES[b] for a, b in pairs]
    assert [modules[name] for name in changes] == expected
    assert len(set(expected)) > 1
    assert modules[unknown] is None


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("a_f32_bf16_b", ("a", "b")),
        ("a_1_f32_abcd_bf16_acdb_b_2", ("a_1", "b_2")),
        ("a_f32_bf16_b_2", ("a", "b_2")),
        ("a_f32_bf16_c", None),
        ("c_f32_bf16_b", None),
        ("a_b", None),
        ("a", None),
    ],
)
def test_the_longest_names_are_the_sides(name: str, sides: tuple[str, str] | None) -> None:
    """Names of layers have underscores, too. Without a type between them they are no sides."""
    layers = {"a", "a_1", "b", "b_2", "2", name}
    text = _csv([(x, "Reorder" if x == name else "Any") for x in sorted(layers)])
    reads = {x.name: x.predecessors for x in read_openvino_csv(text).layers if x.predecessors}
    assert reads == ({} if sides is None else {name: (sides[0],), sides[1]: (name,)})
