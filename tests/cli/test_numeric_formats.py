"""The values of a numeric comparison as a tree, a table and CSV; the status of each."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.helpers.commands import Run


@pytest.fixture
def changed(annotated: Path) -> Path:
    """The annotated file with another bias in its second layer."""
    model = onnx.load(annotated)
    for weight in model.graph.initializer:
        if weight.name == "layer.1.fc.bias":
            array = numpy_helper.to_array(weight) + np.float32(1)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    target = annotated.with_name("changed.onnx")
    onnx.save(model, target)
    return target


def _values(run: Run, *line: object) -> list[dict[str, str]]:
    ran = run("compare", *line, "--numeric", "--output-format", "csv")
    assert ran.code in {0, 1}, ran.err
    return list(csv.DictReader(io.StringIO(ran.out)))


def test_csv_has_what_json_has(run: Run, annotated: Path, changed: Path) -> None:
    """A line for each value that leaves a module, with its status and its errors in full."""
    rows = _values(run, annotated, changed)
    ran = run("compare", annotated, changed, "--numeric", "--output-format", "json")
    values = json.loads(ran.out)["numeric"]["values"]
    assert values
    assert [(r["tag"], r["status"], r["value"]) for r in rows if r["status"] != "no node"] == [
        (v["tag"], "diverges" if v["diverges"] else "equal", v["b"]) for v in values
    ]
    assert [float(r["relative"]) for r in rows if r["relative"]] == [v["relative"] for v in values]
    assert {r["status"] for r in rows} == {"equal", "diverges"}
    assert [r["tag"] for r in rows if r["begins"] == "True"] == ["/Net/layer.1/fc"]


def test_the_table_lists_differences_and_all(run: Run, annotated: Path, changed: Path) -> None:
    """What diverges; with --all every value."""
    rows = _values(run, annotated, changed)
    line = ("compare", annotated, changed, "--numeric", "--output-format", "table")
    for options, listed in (((), "diverges"), (("--all",), "")):
        ran = run(*line, *options)
        expected = [r["tag"] for r in rows if not listed or r["status"] == listed]
        tags = [text.split()[0] for text in ran.out.splitlines() if text.startswith("/Net")]
        assert tags == expected
        assert ran.code == 1


def test_the_tree_nests_modules(run: Run, annotated: Path, changed: Path) -> None:
    """Each below the one around it, with its status."""
    out = run("compare", annotated, changed, "--numeric", "--output-format", "tree").out
    lines = [text.strip("│├└─ ") for text in out.splitlines()]
    assert any(text.startswith("layer.0  equal") for text in lines)
    assert any(text.startswith("fc  diverges (begins)") for text in lines)
    assert sum(text.split()[0] == "Net" for text in lines if text) == 1


def test_a_model_in_torch_has_the_same_formats(run: Run, tmp_path: Path) -> None:
    """Equal modules of a file that was traced from it."""
    source = tmp_path / "net.py"
    source.write_text(
        "import torch\n\n\ndef build():\n    torch.manual_seed(0)\n"
        "    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())\n"
        "    return model, (torch.ones(2, 4),)\n"
    )
    traced, ready = tmp_path / "net.onnx", tmp_path / "net.annotated.onnx"
    assert run("trace", f"{source}:build", traced).code == 0
    assert run("annotate", traced, "--record", tmp_path / "net.trace.json", "-o", ready).code == 0
    rows = _values(run, f"{source}:build", ready)
    assert [row["status"] for row in rows] == ["equal"] * 3
    tree = run("compare", f"{source}:build", ready, "--numeric", "--output-format", "tree")
    assert (tree.code, tree.out.count("equal")) == (0, len(rows))


def test_another_order_of_axes_is_permuted(run: Run, annotated: Path, tmp_path: Path) -> None:
    """A file that lays a value out in another way holds the same numbers; an output may not."""
    model = onnx.load(annotated)
    nodes = list(model.graph.node)
    place = next(n for n, node in enumerate(nodes) if node.output[0] == "p0")
    nodes[place].output[0] = "straight"
    turn = helper.make_node("Transpose", ["straight"], ["p0"], "turn", perm=[1, 0])
    turn.metadata_props.extend(nodes[place].metadata_props)
    back = helper.make_node("Transpose", ["p0"], ["back"], "back", perm=[1, 0])
    back.metadata_props.extend(nodes[place + 1].metadata_props)
    nodes[place + 1].input[0] = "back"
    nodes[place + 1 : place + 1] = [turn, back]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "turned.onnx")
    feeds = tmp_path / "in.npz"
    np.savez(feeds, x=np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32))
    rows = _values(run, annotated, tmp_path / "turned.onnx", "--inputs", feeds)
    turned = [row for row in rows if row["value"] == "p0"]
    assert {(row["status"], row["remark"]) for row in turned} == {
        ("permuted", "axes in the order 1,0")
    }
    assert {row["status"] for row in rows} <= {"equal", "permuted"}


def test_a_value_that_only_the_first_file_has_is_told(
    run: Run, annotated: Path, tmp_path: Path
) -> None:
    """A fused node does not stop there: no node, with the reason."""
    model = onnx.load(annotated)
    merged = [n for n in model.graph.node if n.output[0] in {"h1", "a1"}]
    gemm = helper.make_node("Gemm", [*merged[0].input, merged[1].input[1]], ["r1"], "relu1")
    kept = [n for n in model.graph.node if n not in merged and n.output[0] != "r1"]
    relu = next(n for n in model.graph.node if n.output[0] == "r1")
    gemm.metadata_props.extend(relu.metadata_props)
    kept.insert(next(i for i, n in enumerate(kept) if "r1" in n.input), gemm)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, tmp_path / "fused.onnx")
    rows = _values(run, annotated, tmp_path / "fused.onnx")
    missing = [row for row in rows if row["status"] == "no node"]
    assert [row["tag"] for row in missing] == ["/Net/layer.1/fc"]
    assert all(row["remark"] for row in missing)


@pytest.mark.parametrize("form", ["tree", "table", "csv"])
def test_formats_of_values_need_numeric(run: Run, annotated: Path, form: str) -> None:
    """Without it there are none."""
    ran = run("compare", annotated, annotated, "--output-format", form)
    assert (ran.code, ran.out) == (2, "")
    assert "--numeric" in ran.err
