"""Module calls become functions: shared, sound, told about, and undone without a trace."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
import onnx.reference
import onnx_ir
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from fixtures_gen.zoo import FIXTURES
from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import FoldRules, annotate, strip, unfold, validate
from modelexport.rewriter.surgery import Surgery
from tests.helpers.commands import Run
from tests.helpers.folds import (
    FOLD,
    MODES,
    blocks_record,
    check_unfolding,
    count_operators,
    fold_model,
    module_rows,
)
from tests.helpers.handmade import (
    parse,
    record_of,
    two_layers,
)
from tests.helpers.subgraphs import save_model
from tests.helpers.traced import TracedModels, every_case, open_session, output_bytes


@every_case
def test_folding_every_fixture(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """Checked, run and read by others: the same bits, tags and operators as the flat file."""
    trace = traced(name, exporter)
    flat, target = tmp_path / "a.onnx", tmp_path / "f.onnx"
    annotate(trace.onnx_path, trace.record, flat)
    plain, expected = onnx.load(trace.onnx_path), output_bytes(trace.onnx_path, trace)
    operators, rows = count_operators(plain, constants=False), module_rows(flat)
    flat_faults = validate(flat, record=trace.record, consistency=True).faults
    checked: set[bytes] = set()
    for mode in MODES:
        rules = FoldRules((mode,))
        annotate(trace.onnx_path, trace.record, target, inject=FOLD, fold_rules=rules, force=True)
        if (content := target.read_bytes()) in checked:
            continue  # the file of another mode, byte for byte
        checked.add(content)
        model = onnx.load(target)
        onnx.checker.check_model(model, full_check=True)
        assert output_bytes(target, trace) == expected
        inlined = onnx.inliner.inline_local_functions(model)
        assert count_operators(inlined, constants=False) == operators
        if model.functions:
            check_unfolding(target, trace.onnx_path, tmp_path)
            assert output_bytes(tmp_path / "u.onnx", trace) == expected
        assert module_rows(target) == rows
        faults = validate(target, record=trace.record, consistency=True).faults
        assert faults == flat_faults
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
def test_annotating_a_folded_fixture(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """A folded file is the recorded graph still, and tells a second annotation what it was."""
    trace = traced(name, exporter)
    flat, target, again = tmp_path / "a.onnx", tmp_path / "f.onnx", tmp_path / "g.onnx"
    annotate(trace.onnx_path, trace.record, flat)
    rules = FoldRules(("nested",))
    first = annotate(trace.onnx_path, trace.record, target, inject=FOLD, fold_rules=rules)
    second = annotate(target, trace.record, again, inject=FOLD, fold_rules=rules)
    assert set(second.evidence) <= {"identity", "propagation"}
    assert second.folding == first.folding
    annotate(target, None, again, force=True)
    assert module_rows(again) == module_rows(flat)
    carried = annotate(flat, None, again, inject=FOLD, fold_rules=rules, force=True)
    assert first.folding is not None
    assert carried.folding is not None
    assert carried.folding.prototypes == first.folding.prototypes


@every_case
def test_folding_after_onnxruntime(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """Folding works on what onnxruntime's basic optimisations leave, from names alone."""
    trace = traced(name, exporter)
    source, target = tmp_path / "m.onnx", tmp_path / "f.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(source), 4
    ort.InferenceSession(str(trace.onnx_path), options)
    expected = output_bytes(source, trace)
    checked: set[bytes] = set()
    for mode in MODES:
        rules = FoldRules((mode,))
        annotate(source, trace.record, target, inject=FOLD, fold_rules=rules, force=True)
        if (content := target.read_bytes()) in checked:
            continue  # the file of another mode, byte for byte
        checked.add(content)
        assert output_bytes(target, trace) == expected
        if onnx.load(target).functions:
            check_unfolding(target, source, tmp_path)


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize("name", [n for n, f in FIXTURES.items() if f.family == "transformers"])
def test_layers_share_a_function(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """Every class of modules whose calls are repeated layers has functions that all of them call.

    What stays outside is told, with the reason.
    """
    trace = traced(name, exporter)
    report = annotate(trace.onnx_path, trace.record, tmp_path / "f.onnx", inject=FOLD).folding
    assert report is not None
    assert report.prototypes
    tree = trace.record.tree
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


def test_weights_are_copied_from_the_file(tmp_path: Path) -> None:
    """Weights are in the folded file bit by bit; those of external data stay where they are."""
    side = 40
    model = two_layers(side)
    source = save_model(tmp_path, model)
    annotate(source, blocks_record(model), tmp_path / "f.onnx", inject=FOLD)
    arrays = {w.name: numpy_helper.to_array(w).tobytes() for w in model.graph.initializer}
    result = onnx.load(tmp_path / "f.onnx")
    assert {w.name: numpy_helper.to_array(w).tobytes() for w in result.graph.initializer} == arrays
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
    source, target = save_model(tmp_path, two_layers()), tmp_path / "f.onnx"
    annotate(source, blocks_record(), target, inject=[*FOLD, Inject.NAMES, Inject.ATTRIBUTES])
    result = onnx.load(target)
    (function,) = result.functions
    tags = [
        a.s.decode() for n in function.node for a in n.attribute if a.name == keys.TAG_ATTRIBUTE
    ]
    assert {"fc", "."} <= set(tags)
    names = [node.name for node in result.graph.node]
    assert len(set(names)) == len(names)
    assert all(name.startswith("/") for name in names)
    unfold(target, tmp_path / "u.onnx")
    strip(tmp_path / "u.onnx", tmp_path / "s.onnx")
    assert onnx.load(tmp_path / "s.onnx").graph.node == onnx.load(source).graph.node


def test_unfolding_some_functions(tmp_path: Path) -> None:
    """Chosen functions go, wherever they are called; the others stay and run."""
    source, target = save_model(tmp_path, two_layers()), tmp_path / "f.onnx"
    rules = FoldRules(("nested",))
    annotate(source, blocks_record(), target, inject=FOLD, fold_rules=rules)
    report = unfold(target, tmp_path / "u.onnx", ["Lin*"])
    assert (report.functions, report.calls) == (["Linear"], 1)
    result = onnx.load(tmp_path / "u.onnx")
    onnx.checker.check_model(result, full_check=True)
    assert [f.name for f in result.functions] == ["Block"]
    assert module_rows(tmp_path / "u.onnx") == module_rows(target)
    with pytest.raises(UsageError, match="no functions with these names"):
        unfold(target, tmp_path / "v.onnx", ["nothing"])
    with pytest.raises(UsageError, match="no functions that annotate made"):
        unfold(source, tmp_path / "v.onnx")


def test_types_stand_where_their_values_are(tmp_path: Path) -> None:
    """Values that unfolding puts into a remaining function have their types there."""
    model = onnx.shape_inference.infer_shapes(two_layers())
    model.ir_version = 10  # the first in which functions have types
    source, target = save_model(tmp_path, model), tmp_path / "f.onnx"
    annotate(source, blocks_record(model), target, inject=FOLD, fold_rules=FoldRules(("nested",)))
    unfold(target, tmp_path / "u.onnx", ["Lin*"])
    result = onnx.load(tmp_path / "u.onnx")
    (block,) = result.functions
    for graph in (result.graph, block):
        values = {name for node in graph.node for name in node.output}
        assert {value.name for value in graph.value_info} <= values
    inside = {name for node in block.node for name in node.output if node.op_type != "Constant"}
    assert {value.name for value in block.value_info} == inside


def test_the_commands(tmp_path: Path, run: Run) -> None:
    """`annotate --inject functions` and `strip --functions` do it from the command line."""
    source, record = save_model(tmp_path, two_layers()), tmp_path / "m.trace.json"
    record.write_bytes(encode_record(blocks_record()))
    target, back = tmp_path / "f.onnx", tmp_path / "u.onnx"
    fold = ["annotate", source, "--record", record, "--inject", "functions"]
    results = [
        run(*arguments)
        for arguments in (
            [*fold, "-o", target, "--functions", "nested", "--min-nodes", "2"],
            [*fold, "-o", tmp_path / "p.onnx", "--max-prototypes-per-class", "3"],
            ["strip", target, "-o", back, "--functions"],
            ["strip", target, "-o", tmp_path / "w.onnx", "--function", "Lin*"],
        )
    ]
    assert [result.code for result in results] == [0] * len(results)
    assert "4 calls of 2 functions" in results[0].out
    assert "functions inlined" in results[2].out
    assert {f.name for f in onnx.load(target).functions} == {"Block", "Linear"}
    assert not onnx.load(back).functions
    assert run(*fold, "-o", tmp_path / "x.onnx", "--torch-keys").code == 2


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
    declared = ", ".join(f"float[2] {name}" for name in sorted(outputs))
    model = parse(f"agraph (float[2] x) => ({declared}) {{\n" + "\n".join(lines) + "\n}")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2.0, 3.0], np.float32), "k"))
    classes = {p: p.split(".")[-1] if p[-1:].isalpha() else "Block" for p in PATHS}
    record = record_of(model, {**classes, "": "Net"}, scopes)
    mode = data.draw(st.sampled_from([*MODES, "a.*"]))
    fold_model(model, record, folder, mode)
    feeds = {"x": np.array([0.3, -1.7], np.float32)}
    both = [open_session(folder / name).run(None, feeds) for name in ("m.onnx", "f.onnx")]
    assert [a.tobytes() for a in both[0]] == [a.tobytes() for a in both[1]]
