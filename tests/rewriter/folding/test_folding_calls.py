"""Which calls share a function: patterns, sizes, variants, constants, and calls again."""

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnx.inliner
import onnx.reference
import pytest
from onnx import numpy_helper

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.rewriter import FoldRules, annotate, unfold
from tests.helpers.folds import FOLD, blocks_record, fold_model
from tests.helpers.handmade import (
    parse,
    record_of,
    two_layers,
)
from tests.helpers.subgraphs import save_model
from tests.helpers.traced import open_session


def test_a_function_reads_like_its_module(tmp_path: Path) -> None:
    """Named by the class, inputs by parameters, nodes and tags relative to the module."""
    record = blocks_record()
    report, model = fold_model(two_layers(), record, tmp_path)
    assert report.folding is not None
    (function,) = model.functions
    tree = record.tree
    block = tree["layer.0"]
    assert (function.domain, function.name) == (block.python_module, block.class_name)
    own = [f"fc.{p.name}" for p in tree["layer.0.fc"].parameters]
    assert [name for name in function.input if name in own] == own
    calls = [node for node in model.graph.node if node.op_type == function.name]
    assert [node.name for node in calls] == ["/layer.0", "/layer.1"]
    metadata = [{e.key: e.value for e in node.metadata_props} for node in calls]
    assert [m[keys.TAG] for m in metadata] == [f"/Net/layer.{n}" for n in (0, 1)]
    inside = [{e.key: e.value for e in n.metadata_props}.get(keys.TAG) for n in function.node]
    expected = Counter(
        "fc" if op.module == "layer.0.fc" else "."
        for op in record.ops
        if op.module in {"layer.0", "layer.0.fc"}
    )
    assert Counter(tag for tag in inside if tag is not None and "/Net" not in tag) == expected


def test_the_same_bytes_at_every_run(tmp_path: Path) -> None:
    """Names and order are deterministic."""
    source = save_model(tmp_path, two_layers())
    for target in ("a.onnx", "b.onnx"):
        annotate(source, blocks_record(), tmp_path / target, inject=FOLD)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        (("layer.0",), {"Block": 1}),
        (("layer.*",), {"Block": 2, "Linear": 2}),
        (("class:Lin*",), {"Linear": 2}),
        (("layer.0", "class:Linear"), {"Block": 1, "Linear": 2}),
        (("nowhere",), {}),
    ],
)
def test_patterns(functions: tuple[str, ...], expected: dict[str, int], tmp_path: Path) -> None:
    """Patterns choose by path or by class, and fold single calls too."""
    report, _ = fold_model(two_layers(), blocks_record(), tmp_path, *functions)
    assert report.folding is not None
    assert {p.class_name: p.calls for p in report.folding.prototypes} == expected


def test_patterns_do_not_mix_with_words() -> None:
    """`nested` beside a pattern would be ambiguous."""
    with pytest.raises(UsageError, match="repeated, nested or all alone"):
        FoldRules(("nested", "layer.*"))


def test_small_calls_stay(tmp_path: Path) -> None:
    """`--min-nodes` counts the nodes of the flat call."""
    for least, expected in ((2, {"Linear", "Block"}), (3, {"Block"}), (5, set())):
        options = {"min_nodes": least}
        report, _ = fold_model(two_layers(), blocks_record(), tmp_path, "nested", **options)
        assert report.folding is not None
        assert {p.class_name for p in report.folding.prototypes} == expected


VARIANTS = """
agraph (float[N, 4] x) => (float[N, 4] y) {
   a = Relu (x)
   b = Neg (a)
   c = Relu (b)
   d = Neg (c)
   e = Relu (d)
   f = Abs (e)
   g = Relu (f)
   h = Abs (g)
   i = Relu (h)
   y = Exp (i)
}
"""


def test_variants_are_told_apart(tmp_path: Path) -> None:
    """A class with two structures has two functions; the report says where they differ."""
    modules = {"": "Net", **{f"m.{n}": "Block" for n in range(5)}}
    model = parse(VARIANTS)
    scopes = [f"m.{n // 2}" for n in range(10)]
    record = record_of(model, modules, scopes)
    report, result = fold_model(model, record, tmp_path)
    assert report.folding is not None
    assert [(p.name, p.calls) for p in report.folding.prototypes] == [("Block", 2), ("Block_2", 2)]
    assert report.folding.prototypes[1].differs == "Abs where the other has Neg"
    assert list(report.folding.single) == ["m.4"]
    assert any(line.startswith("2 prototypes of Block: ") for line in report.notes)
    fewer, result = fold_model(model, record, tmp_path, max_prototypes=1)
    assert fewer.folding is not None
    assert [p.name for p in fewer.folding.prototypes] == ["Block"]
    assert fewer.folding.left_out == {"Block": 2}
    assert len(result.functions) == 1


CONSTANTS = """
agraph (float[2, 4] x) => (float[8] y) {
   same0 = Constant <value_ints = [8]> ()
   a = Mul (x, s)
   b = Reshape (a, same0)
   c = Add (b, t0)
   sum0 = Reshape (c, back)
   same1 = Constant <value_ints = [8]> ()
   d = Mul (sum0, s)
   e = Reshape (d, same1)
   f = Add (e, t1)
   y = Identity (f)
}
"""


def test_equal_constants_are_inside_and_others_are_inputs(tmp_path: Path) -> None:
    """Scalars that all calls share stand in the function, differing ones are handed in."""
    model = parse(CONSTANTS)
    for name, value in {"s": 2.0, "t0": 3.0, "t1": 4.0}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 4]), "back"))
    scopes = [*["m.0"] * 4, "", *["m.1"] * 4, ""]
    record = record_of(model, {"": "Net", "m.0": "Block", "m.1": "Block"}, scopes)
    _, result = fold_model(model, record, tmp_path)
    (function,) = result.functions
    assert len(function.input) == 2
    assert sum(node.op_type == "Constant" for node in function.node) == 2
    assert not any(node.op_type == "Constant" for node in result.graph.node)
    assert {w.name for w in result.graph.initializer} == {"t0", "t1", "back"}
    feeds = {"x": np.ones((2, 4), np.float32)}
    both = [open_session(tmp_path / n).run(None, feeds)[0] for n in ("m.onnx", "f.onnx")]
    assert both[0].tobytes() == both[1].tobytes()


HOISTED = """
agraph (float[N, 4] x, float[N, 4] mask) => (float[N, 4] y) {
   big = Exp (mask)
   bias = Neg (big)
   a = Add (x, bias)
   b = Relu (a)
   c = Add (b, bias)
   d = Relu (c)
   e = Add (d, bias)
   y = Relu (e)
}
"""


def test_what_the_first_layer_computes_for_all_is_hoisted(tmp_path: Path) -> None:
    """A mask that the first layer makes does not keep it from sharing the function."""
    model = parse(HOISTED)
    scopes = ["m.0"] * 4 + ["m.1"] * 2 + ["m.2"] * 2
    record = record_of(model, {"": "Net", **{f"m.{n}": "Block" for n in range(3)}}, scopes)
    report, result = fold_model(model, record, tmp_path)
    assert report.folding is not None
    assert [(p.calls, p.nodes) for p in report.folding.prototypes] == [(3, 2)]
    assert report.folding.hoisted == 2
    tags = [{e.key: e.value for e in n.metadata_props}[keys.TAG] for n in result.graph.node]
    assert tags == ["/Net/m.0"] * 3 + ["/Net/m.1", "/Net/m.2"]


AGAIN = """
agraph (float[N, 4] x) => (float[N, 4] y) {
   a = Relu (x)
   b = Neg (a)
   c = Exp (b)
   d = Relu (c)
   e = Neg (d)
   f = Exp (e)
   g = Relu (f)
   y = Neg (g)
}
"""


@pytest.mark.parametrize("counted", [True, False])
def test_a_module_that_is_called_again(counted: bool, tmp_path: Path) -> None:
    """Calls are told apart by the record's count, or by the graph where nobody counted."""
    model = parse(AGAIN)
    record = record_of(model, {"": "Net", "m": "Block"}, ["m", "m", "", "m", "m", "", "m", "m"])
    count = [0, 0, 0, 1, 1, 0, 2, 2]
    if counted:
        edited = [
            msgspec.structs.replace(op, call=n) for op, n in zip(record.ops, count, strict=True)
        ]
        tree = [msgspec.structs.replace(m, calls=3 if m.path else 1) for m in record.modules]
        record = msgspec.structs.replace(record, ops=tuple(edited), modules=tuple(tree))
        report, result = fold_model(model, record, tmp_path)
    else:
        for node, op in zip(model.graph.node, record.ops, strict=True):
            node.metadata_props.add(key=keys.TAG, value="/Net/m" if op.module else "/Net")
        source, target = save_model(tmp_path, model), tmp_path / "f.onnx"
        report = annotate(source, None, target, inject=FOLD)
        result = onnx.load(target)
    assert report.folding is not None
    assert [(p.calls, p.nodes) for p in report.folding.prototypes] == [(3, 2)]
    calls = [n for n in result.graph.node if n.domain]
    call_numbers = [{e.key: e.value for e in n.metadata_props}.get(keys.CALL) for n in calls]
    assert call_numbers == ["0", "1", "2"]


SUBGRAPH = """
agraph (float[N, 4] x, float[N, 4] z, bool when) => (float[N, 4] y) {
   a = Relu (x)
   b = If (when) <then_branch = yes () => (p) { p = Add (a, z) },
                  else_branch = no () => (q) { q = Neg (a) }>
   c = Relu (b)
   y = If (when) <then_branch = yes () => (p) { p = Add (c, z) },
                  else_branch = no () => (q) { q = Neg (c) }>
}
"""


def test_what_subgraphs_capture_is_handed_in(tmp_path: Path) -> None:
    """A subgraph that reads a value of the graph around its call gets it as an input."""
    model = parse(SUBGRAPH)
    scopes = ["m.0", "m.0", "m.1", "m.1", "m.0", "m.0", "m.1", "m.1"]
    record = record_of(model, {"": "Net", "m.0": "Block", "m.1": "Block"}, scopes)
    _, result = fold_model(model, record, tmp_path)
    (function,) = result.functions
    assert list(result.graph.node[0].input) == ["x", "when", "z"]
    assert len(function.input) == 3
    feeds = {"x": np.ones((2, 4), np.float32), "z": np.ones((2, 4), np.float32)}
    for when in (True, False):
        both = [
            open_session(tmp_path / n).run(None, {**feeds, "when": np.array(when)})[0]
            for n in ("m.onnx", "f.onnx")
        ]
        assert both[0].tobytes() == both[1].tobytes()


def test_a_call_with_others_in_its_middle_is_refused(tmp_path: Path) -> None:
    """What cannot be one node is left as it is, and the report says what is in between."""
    model = parse(AGAIN)
    scopes = ["m", "m", "o", "m", "m", "o", "m", "m"]
    record = record_of(model, {"": "Net", "m": "Block", "o": "Other"}, scopes)
    report, result = fold_model(model, record, tmp_path, "all")
    assert report.folding is not None
    assert set(report.folding.refused) == {"m", "o"}
    assert not result.functions


@pytest.mark.parametrize("name", ["Mul", "Block"])
def test_no_function_is_taken_for_an_operator(name: str, tmp_path: Path) -> None:
    """A class may have the name of an operator with more inputs, which onnxruntime would read."""
    text = "g (float[2] x) => (float[2] y) { [a] a = Neg (x) [b] b = Abs (a) "
    model = parse(text + "[c] c = Neg (b) [d] y = Abs (c) }")
    classes = {"": "Net", "first": name, "second": name}
    record = record_of(model, classes, ["first", "first", "second", "second"])
    _, folded = fold_model(model, record, tmp_path)
    (function,) = folded.functions
    assert len(function.input) == 1
    schema = onnx.defs.get_schema(name) if onnx.defs.has(name) else None
    is_misread = schema is not None and schema.min_input > len(function.input)
    assert (function.name == name) == (not is_misread)
    assert open_session(tmp_path / "f.onnx") is not None


def test_a_constant_without_a_result_does_not_hinder_unfolding(tmp_path: Path) -> None:
    """Damaged files have such nodes."""
    _, folded = fold_model(two_layers(), blocks_record(), tmp_path)
    assert folded.functions
    unfold(save_model(tmp_path, folded), tmp_path / "whole.onnx", force=True)
    folded.graph.node.insert(0, onnx.helper.make_node("Constant", [], [], value_float=1.0))
    unfold(save_model(tmp_path, folded), tmp_path / "damaged.onnx", force=True)
    whole, damaged = (onnx.load(tmp_path / f"{name}.onnx") for name in ("whole", "damaged"))
    assert not damaged.functions
    assert [n.output for n in damaged.graph.node if n.output] == [
        n.output for n in whole.graph.node
    ]
