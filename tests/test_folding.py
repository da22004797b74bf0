"""Module calls become functions: shared, sound, told about, and undone without a trace."""

import warnings
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnx.inliner
import onnx.reference
import onnx_ir
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

from cli.main import main
from fixtures_gen.zoo import FIXTURES
from hierarchy import keys
from hierarchy.errors import UsageError
from hierarchy.graphs import digest, walk_nodes
from hierarchy.injection import Inject
from hierarchy.record import Record, encode_record
from rewriter import AnnotateReport, FoldRules, analyze, annotate, strip, unfold, validate
from rewriter.surgery import Surgery
from tests.handmade import (
    TWO_LAYERS_MODULES,
    TWO_LAYERS_SCOPES,
    parse,
    record_of,
    two_layers,
)
from tests.test_strip import saved
from tests.traced import bits, every_case, plain_session, traced

MODES = ("repeated", "nested", "all")
FOLD = [Inject.FUNCTIONS]


def ops(model: ModelProto, *, constants: bool = True) -> Counter[str]:
    """Operators of all graphs; the inliner of onnx leaves constants of functions as nodes."""
    counted = Counter(node.op_type for _, node in walk_nodes(model))
    if not constants:
        del counted["Constant"]
    return counted


def rows(path: Path) -> dict[str, tuple[int, dict[str, int], int]]:
    return {r.tag: (r.own_nodes, r.op_types, r.parameters) for r in analyze(path).modules}


def folded(
    model: ModelProto, record: Record, folder: Path, *functions: str, **options: int
) -> tuple[AnnotateReport, ModelProto]:
    """Fold a model in a folder; gives the report and the folded model."""
    source, target = saved(folder, model), folder / "f.onnx"
    rules = FoldRules(functions or ("repeated",), **options)
    report = annotate(source, record, target, inject=FOLD, fold_rules=rules, force=True)
    made = onnx.load(target)
    onnx.checker.check_model(made, full_check=True)
    if made.functions:
        unfold_and_compare(target, source, folder)
    return report, made


def blocks_record(model: ModelProto | None = None) -> Record:
    """The record of two layers whose last Identity is the root's, so that they are alike."""
    return record_of(model or two_layers(), TWO_LAYERS_MODULES, [*TWO_LAYERS_SCOPES[:-1], ""])


def unfold_and_compare(target: Path, source: Path, folder: Path) -> None:
    """Unfolding and stripping brings back every node and weight, under its name, in its place."""
    unfold(target, folder / "u.onnx", force=True)
    flat = onnx.load(folder / "u.onnx")
    assert not flat.functions
    onnx.checker.check_model(flat, full_check=True)
    strip(folder / "u.onnx", folder / "s.onnx", force=True)
    back, plain = onnx.load(folder / "s.onnx"), onnx.load(source)
    assert list(back.graph.node) == list(plain.graph.node)
    assert list(back.graph.initializer) == list(plain.graph.initializer)
    assert list(back.opset_import) == list(plain.opset_import)
    assert digest(back) == digest(plain)


@every_case
def test_folding_every_fixture(name: str, exporter: str, tmp_path: Path) -> None:
    """Checked, run and read by others: the same bits, tags and operators as the flat file."""
    done = traced(name, exporter)
    flat, target = tmp_path / "a.onnx", tmp_path / "f.onnx"
    annotate(done.onnx_path, done.record, flat)
    plain, expected = onnx.load(done.onnx_path), bits(done.onnx_path, done)
    for mode in MODES:
        rules = FoldRules((mode,))
        annotate(done.onnx_path, done.record, target, inject=FOLD, fold_rules=rules, force=True)
        model = onnx.load(target)
        onnx.checker.check_model(model, full_check=True)
        assert bits(target, done) == expected
        inlined = onnx.inliner.inline_local_functions(model)
        assert ops(inlined, constants=False) == ops(plain, constants=False)
        if model.functions:
            unfold_and_compare(target, done.onnx_path, tmp_path)
            assert bits(tmp_path / "u.onnx", done) == expected
        assert rows(target) == rows(flat)
        faults = validate(target, record=done.record, consistency=True).faults
        assert faults == validate(flat, record=done.record, consistency=True).faults
        onnx.reference.ReferenceEvaluator(model)
        assert len(onnx_ir.load(target).functions) == len(model.functions)
        assert Surgery(model).model() == model
        assert _explored(target) >= {f"{f.domain}::{f.name}" for f in model.functions}


def _explored(path: Path) -> set[str]:
    """The graphs that Model Explorer's ONNX adapter finds, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        from model_explorer_onnx.main import ONNXAdapter  # noqa: PLC0415 - it warns

        graphs = ONNXAdapter().convert(str(path), {})["graphs"]
    return {graph.id.removeprefix("[function]") for graph in graphs}


@every_case
def test_annotating_a_folded_fixture(name: str, exporter: str, tmp_path: Path) -> None:
    """A folded file is the recorded graph still, and tells a second annotation what it was."""
    done = traced(name, exporter)
    flat, target, again = tmp_path / "a.onnx", tmp_path / "f.onnx", tmp_path / "g.onnx"
    annotate(done.onnx_path, done.record, flat)
    rules = FoldRules(("nested",))
    first = annotate(done.onnx_path, done.record, target, inject=FOLD, fold_rules=rules)
    second = annotate(target, done.record, again, inject=FOLD, fold_rules=rules)
    assert set(second.evidence) <= {"identity", "propagation"}
    assert second.folding == first.folding
    annotate(target, None, again, force=True)
    assert rows(again) == rows(flat)
    carried = annotate(flat, None, again, inject=FOLD, fold_rules=rules, force=True)
    assert first.folding is not None
    assert carried.folding is not None
    assert carried.folding.prototypes == first.folding.prototypes


@every_case
def test_folding_after_onnxruntime(name: str, exporter: str, tmp_path: Path) -> None:
    """Folding works on what onnxruntime's basic optimisations leave, from names alone."""
    done = traced(name, exporter)
    source, target = tmp_path / "m.onnx", tmp_path / "f.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(source), 4
    ort.InferenceSession(str(done.onnx_path), options)
    for mode in MODES:
        rules = FoldRules((mode,))
        annotate(source, done.record, target, inject=FOLD, fold_rules=rules, force=True)
        assert bits(target, done) == bits(source, done)
        if onnx.load(target).functions:
            unfold_and_compare(target, source, tmp_path)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", [n for n, f in FIXTURES.items() if f.family == "transformers"])
def test_layers_share_a_function(name: str, exporter: str, tmp_path: Path) -> None:
    """Every class of modules whose calls are repeated layers has functions that all of them call.

    What stays outside is told, with the reason.
    """
    done = traced(name, exporter)
    report = annotate(done.onnx_path, done.record, tmp_path / "f.onnx", inject=FOLD).folding
    assert report is not None
    assert report.prototypes
    tree = done.record.tree
    for class_name in {p.class_name for p in report.prototypes}:
        calls = sum(p.calls for p in report.prototypes if p.class_name == class_name)
        paths = {m.path for m in tree if m.class_name == class_name and m.calls}
        outer = {p for p in paths if not _inside_folded(p, report.prototypes, tree)}
        assert calls + len(set(report.single) & outer) >= len(outer)
    assert not report.refused


def _inside_folded(path: str, prototypes: object, tree: object) -> bool:
    classes = {p.class_name for p in prototypes}  # type: ignore[attr-defined]
    above = path.split(".")
    parents = (".".join(above[:n]) for n in range(1, len(above)))
    return any(p in tree and tree[p].class_name in classes for p in parents)  # type: ignore[operator,index]


def test_a_function_reads_like_its_module(tmp_path: Path) -> None:
    """Named by the class, inputs by parameters, nodes and tags relative to the module."""
    record = blocks_record()
    report, model = folded(two_layers(), record, tmp_path)
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
    source = saved(tmp_path, two_layers())
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
    report, _ = folded(two_layers(), blocks_record(), tmp_path, *functions)
    assert report.folding is not None
    assert {p.class_name: p.calls for p in report.folding.prototypes} == expected


def test_patterns_do_not_mix_with_words() -> None:
    """`nested` beside a pattern would be ambiguous."""
    with pytest.raises(UsageError, match="repeated, nested or all alone"):
        FoldRules(("nested", "layer.*"))


def test_small_calls_stay(tmp_path: Path) -> None:
    """`--min-nodes` counts the nodes of the flat call."""
    for least, wanted in ((2, {"Linear", "Block"}), (3, {"Block"}), (5, set())):
        options = {"min_nodes": least}
        report, _ = folded(two_layers(), blocks_record(), tmp_path, "nested", **options)
        assert report.folding is not None
        assert {p.class_name for p in report.folding.prototypes} == wanted


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
    report, made = folded(model, record, tmp_path)
    assert report.folding is not None
    assert [(p.name, p.calls) for p in report.folding.prototypes] == [("Block", 2), ("Block_2", 2)]
    assert report.folding.prototypes[1].differs == "Abs where the other has Neg"
    assert list(report.folding.single) == ["m.4"]
    assert any(line.startswith("2 prototypes of Block: ") for line in report.notes)
    fewer, made = folded(model, record, tmp_path, max_prototypes=1)
    assert fewer.folding is not None
    assert [p.name for p in fewer.folding.prototypes] == ["Block"]
    assert fewer.folding.left_out == {"Block": 2}
    assert len(made.functions) == 1


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
    _, made = folded(model, record, tmp_path)
    (function,) = made.functions
    assert len(function.input) == 2
    assert sum(node.op_type == "Constant" for node in function.node) == 2
    assert not any(node.op_type == "Constant" for node in made.graph.node)
    assert {w.name for w in made.graph.initializer} == {"t0", "t1", "back"}
    feeds = {"x": np.ones((2, 4), np.float32)}
    both = [plain_session(tmp_path / n).run(None, feeds)[0] for n in ("m.onnx", "f.onnx")]
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
    report, made = folded(model, record, tmp_path)
    assert report.folding is not None
    assert [(p.calls, p.nodes) for p in report.folding.prototypes] == [(3, 2)]
    assert report.folding.hoisted == 2
    tags = [{e.key: e.value for e in n.metadata_props}[keys.TAG] for n in made.graph.node]
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
        report, made = folded(model, record, tmp_path)
    else:
        for node, op in zip(model.graph.node, record.ops, strict=True):
            node.metadata_props.add(key=keys.TAG, value="/Net/m" if op.module else "/Net")
        source, target = saved(tmp_path, model), tmp_path / "f.onnx"
        report = annotate(source, None, target, inject=FOLD)
        made = onnx.load(target)
    assert report.folding is not None
    assert [(p.calls, p.nodes) for p in report.folding.prototypes] == [(3, 2)]
    calls = [n for n in made.graph.node if n.domain]
    said = [{e.key: e.value for e in n.metadata_props}.get(keys.CALL) for n in calls]
    assert said == ["0", "1", "2"]


BODY = """
agraph (float[N, 4] x, float[N, 4] z, bool when) => (float[N, 4] y) {
   a = Relu (x)
   b = If (when) <then_branch = yes () => (p) { p = Add (a, z) },
                  else_branch = no () => (q) { q = Neg (a) }>
   c = Relu (b)
   y = If (when) <then_branch = yes () => (p) { p = Add (c, z) },
                  else_branch = no () => (q) { q = Neg (c) }>
}
"""


def test_what_bodies_capture_is_handed_in(tmp_path: Path) -> None:
    """A body that reads a value of the graph around its call gets it as an input."""
    model = parse(BODY)
    scopes = ["m.0", "m.0", "m.1", "m.1", "m.0", "m.0", "m.1", "m.1"]
    record = record_of(model, {"": "Net", "m.0": "Block", "m.1": "Block"}, scopes)
    _, made = folded(model, record, tmp_path)
    (function,) = made.functions
    assert list(made.graph.node[0].input) == ["x", "when", "z"]
    assert len(function.input) == 3
    feeds = {"x": np.ones((2, 4), np.float32), "z": np.ones((2, 4), np.float32)}
    for when in (True, False):
        both = [
            plain_session(tmp_path / n).run(None, {**feeds, "when": np.array(when)})[0]
            for n in ("m.onnx", "f.onnx")
        ]
        assert both[0].tobytes() == both[1].tobytes()


def test_a_call_with_others_in_its_middle_is_refused(tmp_path: Path) -> None:
    """What cannot be one node is left as it is, and the report says what is in between."""
    model = parse(AGAIN)
    scopes = ["m", "m", "o", "m", "m", "o", "m", "m"]
    record = record_of(model, {"": "Net", "m": "Block", "o": "Other"}, scopes)
    report, made = folded(model, record, tmp_path, "all")
    assert report.folding is not None
    assert set(report.folding.refused) == {"m", "o"}
    assert not made.functions


def test_weights_are_copied_from_the_file(tmp_path: Path) -> None:
    """Weights are in the folded file bit by bit; those of external data stay where they are."""
    side = 40
    model = two_layers(side)
    source = saved(tmp_path, model)
    annotate(source, blocks_record(model), tmp_path / "f.onnx", inject=FOLD)
    arrays = {w.name: numpy_helper.to_array(w).tobytes() for w in model.graph.initializer}
    made = onnx.load(tmp_path / "f.onnx")
    assert {w.name: numpy_helper.to_array(w).tobytes() for w in made.graph.initializer} == arrays
    apart, data = tmp_path / "x.onnx", tmp_path / "x.data"
    onnx.save(model, apart, save_as_external_data=True, location=data.name, size_threshold=64)
    annotate(apart, blocks_record(model), tmp_path / "g.onnx", inject=FOLD)
    lazy = onnx.load(tmp_path / "g.onnx", load_external_data=False)
    places = {
        e.value for w in lazy.graph.initializer for e in w.external_data if e.key == "location"
    }
    assert places == {data.name}
    other = tmp_path / "other"
    other.mkdir()
    annotate(apart, blocks_record(model), other / "g.onnx", inject=FOLD)
    assert (other / data.name).read_bytes() == data.read_bytes()
    loaded = onnx.load(other / "g.onnx")
    assert {w.name: numpy_helper.to_array(w).tobytes() for w in loaded.graph.initializer} == arrays


def test_names_and_attributes_inside_functions(tmp_path: Path) -> None:
    """Combined with the others: attributes are relative inside, names unique everywhere."""
    source, target = saved(tmp_path, two_layers()), tmp_path / "f.onnx"
    annotate(source, blocks_record(), target, inject=[*FOLD, Inject.NAMES, Inject.ATTRIBUTES])
    made = onnx.load(target)
    (function,) = made.functions
    tags = [
        a.s.decode() for n in function.node for a in n.attribute if a.name == keys.TAG_ATTRIBUTE
    ]
    assert {"fc", "."} <= set(tags)
    named = [node.name for node in made.graph.node]
    assert len(set(named)) == len(named)
    assert all(name.startswith("/") for name in named)
    unfold(target, tmp_path / "u.onnx")
    strip(tmp_path / "u.onnx", tmp_path / "s.onnx")
    assert onnx.load(tmp_path / "s.onnx").graph.node == onnx.load(source).graph.node


def test_unfolding_some_functions(tmp_path: Path) -> None:
    """Chosen functions go, wherever they are called; the others stay and run."""
    source, target = saved(tmp_path, two_layers()), tmp_path / "f.onnx"
    rules = FoldRules(("nested",))
    annotate(source, blocks_record(), target, inject=FOLD, fold_rules=rules)
    report = unfold(target, tmp_path / "u.onnx", ["Lin*"])
    assert (report.functions, report.calls) == (["Linear"], 1)
    made = onnx.load(tmp_path / "u.onnx")
    onnx.checker.check_model(made, full_check=True)
    assert [f.name for f in made.functions] == ["Block"]
    assert rows(tmp_path / "u.onnx") == rows(target)
    with pytest.raises(UsageError, match="no functions of these names"):
        unfold(target, tmp_path / "v.onnx", ["nothing"])
    with pytest.raises(UsageError, match="no functions that annotate made"):
        unfold(source, tmp_path / "v.onnx")


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`annotate --inject functions` and `strip --functions` do it from the command line."""
    source, record = saved(tmp_path, two_layers()), tmp_path / "m.trace.json"
    record.write_bytes(encode_record(blocks_record()))
    target, back = tmp_path / "f.onnx", tmp_path / "u.onnx"
    fold = ["annotate", source, "--record", record, "--inject", "functions"]
    for arguments in (
        [*fold, "-o", target, "--functions", "nested", "--min-nodes", "2"],
        [*fold, "-o", tmp_path / "p.onnx", "--max-prototypes-per-class", "3"],
        ["strip", target, "-o", back, "--functions"],
        ["strip", target, "-o", tmp_path / "w.onnx", "--function", "Lin*"],
    ):
        with pytest.raises(SystemExit) as done:
            main(list(map(str, arguments)))
        assert done.value.code == 0
    said = capsys.readouterr().out
    assert "4 calls of 2 functions" in said
    assert "functions inlined" in said
    assert {f.name for f in onnx.load(target).functions} == {"Block", "Linear"}
    assert not onnx.load(back).functions
    with pytest.raises(SystemExit) as done:
        main([*map(str, fold), "-o", str(tmp_path / "x.onnx"), "--torch-keys"])
    assert done.value.code == 2


PATHS = ["", "a.0", "a.1", "a.2", "a.0.x", "a.1.x", "a.2.x", "b", "b.y", "b.z"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_tagging_of_any_graph_folds_soundly(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Random graphs with random modules: whatever is folded computes the same, and comes back."""
    folder = tmp_path_factory.mktemp("random")
    values, lines, scopes = ["x", "k"], [], []
    for number in range(data.draw(st.integers(2, 14))):
        kind = data.draw(st.sampled_from(["Add", "Mul", "Relu", "Neg"]))
        count = 2 if kind in {"Add", "Mul"} else 1
        read = [data.draw(st.sampled_from(values[-4:])) for _ in range(count)]
        lines.append(f"v{number} = {kind} ({', '.join(read)})")
        values.append(f"v{number}")
        scopes.append(data.draw(st.sampled_from(PATHS)))
    outputs = {values[-1], data.draw(st.sampled_from(values[2:]))}
    shown = ", ".join(f"float[2] {name}" for name in sorted(outputs))
    model = parse(f"agraph (float[2] x) => ({shown}) {{\n" + "\n".join(lines) + "\n}")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2.0, 3.0], np.float32), "k"))
    classes = {p: p.split(".")[-1] if p[-1:].isalpha() else "Block" for p in PATHS}
    record = record_of(model, {**classes, "": "Net"}, scopes)
    mode = data.draw(st.sampled_from([*MODES, "a.*"]))
    folded(model, record, folder, mode)
    feeds = {"x": np.array([0.3, -1.7], np.float32)}
    both = [plain_session(folder / name).run(None, feeds) for name in ("m.onnx", "f.onnx")]
    assert [a.tobytes() for a in both[0]] == [a.tobytes() for a in both[1]]
