"""Two files of a model side by side, by module: their graphs, and what they compute."""

import json
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from agreement.kept import ORT_EXTENDED, SCRAMBLED
from agreement.lossy import DYNAMIC, HALF_PRECISION, QDQ, QOPERATOR
from agreement.steps import Conversion
from fixtures_gen.truth import feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import path_steps
from modelexport.rewriter import Comparison, FoldRules, Numeric, Status, annotate, compare
from tests.helpers.commands import Run
from tests.helpers.handmade import parse
from tests.helpers.traced import TracedModels, open_session
from tests.helpers.versions import perturb_module, write_layers

NAME, EXPORTER = "bert", "torchscript"
STEPS = {"optimised": ORT_EXTENDED, "dynamic": DYNAMIC, "qdq": QDQ, "qoperator": QOPERATOR,
         "half": HALF_PRECISION, "scrambled": SCRAMBLED}  # fmt: skip
Files = Callable[[str], Path]


@pytest.fixture(scope="module")
def record(traced: TracedModels) -> Record:
    return traced(NAME, EXPORTER).record


@pytest.fixture(scope="module")
def files(traced: TracedModels, tmp_path_factory: pytest.TempPathFactory, record: Record) -> Files:
    """Annotated files of one model: as traced, folded, and as tools made others of it."""
    folder = tmp_path_factory.mktemp("files")
    plain = traced(NAME, EXPORTER).onnx_path
    inputs = feeds(*FIXTURES[NAME].build(), onnx.load(plain).graph)

    def make(kind: str) -> Path:
        target = folder / f"{kind}.onnx"
        if target.exists():
            return target
        if kind == "plain":
            annotate(plain, record, target)
        elif kind == "folded":
            rules = FoldRules(("nested",))
            annotate(plain, record, target, inject=[Inject.FUNCTIONS], fold_rules=rules)
        elif kind.startswith("unannotated "):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # the quantiser's, over masks
                STEPS[kind.removeprefix("unannotated ")].apply(Conversion(plain, target, inputs))
        else:
            annotate(make(f"unannotated {kind}"), record, target)
        return target

    return make


def entries(node: onnx.NodeProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in node.metadata_props}


def by_tag(path: Path) -> dict[str, Counter[str]]:
    """Operators of the nodes that carry each tag."""
    operators: dict[str, Counter[str]] = {}
    for node in onnx.load(path).graph.node:
        operators.setdefault(entries(node)[keys.TAG], Counter())[op_type(node)] += 1
    return operators


@pytest.mark.parametrize("kind", STEPS)
def test_rows_say_what_each_module_gained_and_lost(files: Files, kind: str) -> None:
    """Counts are those of the nodes that carry the module's tag in either file."""
    a, b = by_tag(files("plain")), by_tag(files(kind))
    comparison = compare(files("plain"), files(kind))
    assert {row.tag for row in comparison.modules} >= a.keys() | b.keys()
    assert comparison.modules
    for row in comparison.modules:
        left, right = a.get(row.tag, Counter()), b.get(row.tag, Counter())
        assert (row.nodes_a, row.nodes_b) == (left.total(), right.total())
        assert (Counter(row.gained), Counter(row.lost)) == (right - left, left - right)
        if left != right:
            assert row.status is not Status.SAME
    assert comparison.same == (not any(comparison.changes()))


def test_fused_modules_are_absorbed(files: Files) -> None:
    """A module whose nodes are gone is absorbed when others' nodes cover it, else emptied."""
    a, b = by_tag(files("plain")), by_tag(files("optimised"))
    covers: dict[str, set[str]] = {}
    for node in onnx.load(files("optimised")).graph.node:
        entry = entries(node)
        for tag in json.loads(entry.get(keys.COVERS, "[]")):
            if tag != entry[keys.TAG]:
                covers.setdefault(tag, set()).add(op_type(node))
    gone = {tag for tag in a if tag not in b}
    rows = {row.tag: row for row in compare(files("plain"), files("optimised")).modules}
    absorbed = {tag for tag in gone if tag in covers}
    assert absorbed
    assert absorbed == {tag for tag, row in rows.items() if row.status is Status.ABSORBED}
    assert gone - absorbed == {tag for tag, row in rows.items() if row.status is Status.EMPTIED}
    assert all(set(rows[tag].covered_b) == covers[tag] for tag in absorbed)


@pytest.mark.parametrize("kind", ["plain", "folded", "scrambled"])
def test_what_is_the_same_has_no_difference(files: Files, record: Record, kind: str) -> None:
    """The file itself, folded, or under other names in another order: bit for bit the same."""
    comparison = compare(files("plain"), files(kind), record=record, numeric=Numeric(tolerance=0))
    assert comparison.same
    assert comparison.numeric is not None
    assert comparison.numeric.unaligned == []
    assert {value.max_abs for value in comparison.numeric.values} == {0.0}
    outputs = [value for value in comparison.numeric.values if value.paired_by == "output"]
    assert len(outputs) == len(onnx.load(files("plain")).graph.output)


@pytest.mark.parametrize("kind", ["optimised", "dynamic", "qdq", "qoperator", "half"])
def test_the_errors_are_those_of_the_outputs(files: Files, record: Record, kind: str) -> None:
    """What both give back on the record's inputs, run apart from us, differs by just that."""
    inputs = {entry.name: entry.to_array() for entry in record.probe.inputs}
    results = []
    for path in (files("plain"), files(kind)):
        session = open_session(path)
        names = [output.name for output in session.get_outputs()]
        results.append(dict(zip(names, session.run(None, inputs), strict=True)))
    numeric = compare(files("plain"), files(kind), record=record, numeric=Numeric()).numeric
    assert numeric is not None
    assert numeric.inputs == "the record's"
    values = {value.a: value for value in numeric.values if value.paired_by == "output"}
    assert values.keys() == results[0].keys()
    assert values
    for name, value in values.items():
        true, other = (result[name].astype(np.float64) for result in results)
        assert value.max_abs == pytest.approx(np.abs(true - other).max())
        relative = np.linalg.norm(true - other) / np.linalg.norm(true)
        assert value.relative == pytest.approx(relative)
        assert value.diverges == (relative > numeric.tolerance)


def owners(record: Record) -> list[str]:
    """Modules with floating weights of their own that run."""
    return [m.path for m in record.modules if m.parameters and m.calls]


def test_divergence_begins_where_a_weight_was_changed(
    files: Files, record: Record, tmp_path: Path
) -> None:
    """The module whose weights differ is named first; in a fused file, one that covers it."""
    paths = owners(record)
    assert paths
    for path in paths:
        check_divergence(files, record, path, tmp_path)


def check_divergence(files: Files, record: Record, module: str, tmp_path: Path) -> None:
    same = compare(
        files("plain"),
        perturb_module(files("plain"), tmp_path / "b.onnx", record, module),
        record=record,
        numeric=Numeric(),
    )
    assert not same.same
    assert same.numeric is not None
    tag = "/" + "/".join([record.tree.root.class_name, *path_steps(module)])
    assert same.numeric.first == tag
    assert [value.tag for value in same.numeric.values if value.begins] == [tag]
    weights = {w.name for w in onnx.load(files("optimised")).graph.initializer}
    kept = {t.name for t in record.tensors if (t.parameter or "").rpartition(".")[0] == module}
    if kept <= weights:  # else the optimiser folded them into others
        other = perturb_module(files("optimised"), tmp_path / "o.onnx", record, module)
        fused = compare(files("plain"), other, record=record, numeric=Numeric()).numeric
        assert fused is not None
        assert fused.first is not None
        assert tag.startswith(fused.first)


@pytest.mark.parametrize("kind", ["optimised", "qdq"])
def test_a_file_without_tags_is_matched(files: Files, record: Record, kind: str) -> None:
    """With the record, or with the other file: the rows are those of the annotated file."""
    rows = compare(files("plain"), files(kind)).modules
    bare = files(f"unannotated {kind}")
    by_record = compare(files("plain"), bare, record=record)
    inherited = compare(files("plain"), bare)
    turned = compare(bare, files("plain"))
    without_lines = [msgspec.structs.replace(row, source_lines=()) for row in by_record.modules]
    assert without_lines == rows
    assert any(row.source_lines for row in by_record.modules)
    assert inherited.modules == rows
    assert {row.tag: row.nodes_a for row in turned.modules} == {r.tag: r.nodes_b for r in rows}
    assert all("matched" in comparison.notes[0] for comparison in (by_record, inherited, turned))


def test_what_nothing_tells_is_refused(tmp_path: Path) -> None:
    """Two plain files have no modules to compare."""
    onnx.save(parse("g (float[2] x) => (float[2] y) { y = Relu (x) }"), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="Annotate it first"):
        compare(tmp_path / "m.onnx", tmp_path / "m.onnx")


def test_modules_in_one_file_only(tmp_path: Path) -> None:
    """A module of the second version alone is only there; all others are the same."""
    one, two = write_layers(tmp_path, "one"), write_layers(tmp_path, "two", more=True)
    comparison = compare(one, two, numeric=Numeric())
    assert {r.tag: r.status for r in comparison.changes()} == {"/Net/head": Status.ONLY_B}
    assert {r.status for r in compare(two, one).changes()} == {Status.ONLY_A}
    assert comparison.gained == {"Tanh": 1}


def test_a_model_inside_another_is_found_by_its_class(tmp_path: Path) -> None:
    """Alone or as part of a larger model, the same modules are compared."""
    one, two = write_layers(tmp_path, "one"), write_layers(tmp_path, "two", prefix="body.")
    comparison = compare(one, two, numeric=Numeric(tolerance=0))
    assert not any(comparison.changes())
    assert comparison.same
    assert comparison.numeric is not None
    assert any(value.tag.startswith("/Net/layer.0") for value in comparison.numeric.values)
    assert "body of two.onnx" in comparison.notes[-1]


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_every_format_names_each_difference(files: Files, run: Run, form: str) -> None:
    """Exit code 1, and every module that differs is in it."""
    ran = run("compare", files("plain"), files("dynamic"), "--numeric", "--output-format", form)
    comparison = compare(files("plain"), files("dynamic"), numeric=Numeric())
    assert (ran.code, ran.err) == (1, "")
    assert comparison.numeric is not None
    changed = [row.tag for row in comparison.changes()]
    assert changed
    assert [tag for tag in changed if tag in ran.out] == changed
    assert str(comparison.numeric.first) in ran.out
    if form == "json":
        assert json.loads(ran.out)["a"]["nodes"] == comparison.a.nodes


def test_the_same_files_exit_with_zero(files: Files, run: Run) -> None:
    """No difference is an answer too; quiet says nothing of it."""
    ran = run("compare", files("plain"), files("folded"))
    assert (ran.code, ran.err) == (0, "")
    assert "no difference" in ran.out
    assert run("--quiet", "compare", files("plain"), files("folded")) == (0, "", "")


def test_inputs_of_ones_own(files: Files, record: Record, run: Run, tmp_path: Path) -> None:
    """--probe runs both on these; what is missing in it is named."""
    inputs = {entry.name: entry.to_array() for entry in record.probe.inputs}
    np.savez(tmp_path / "in.npz", **inputs)
    options = ["--numeric", "--output-format", "json", "--probe"]
    both = files("plain"), files("half")
    ran = run("compare", *both, *options, tmp_path / "in.npz")
    printed = json.loads(ran.out)["numeric"]
    assert printed["inputs"] == "in.npz"
    expected: Comparison = compare(*both, record=record, numeric=Numeric())
    assert expected.numeric is not None
    assert [v["max_abs"] for v in printed["values"]] == [v.max_abs for v in expected.numeric.values]
    np.savez(tmp_path / "less.npz", **dict(list(inputs.items())[1:]))
    wrong = run("compare", *both, *options, tmp_path / "less.npz")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert next(iter(inputs)) in wrong.err


@pytest.mark.parametrize(
    "options", [["--probe", "in.npz"], ["--tolerance", "0.1"], ["--numeric", "--no-run"]]
)
def test_options_that_do_not_fit(files: Files, run: Run, options: list[str]) -> None:
    """One sentence, exit code 2."""
    ran = run("compare", files("plain"), files("folded"), *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "--numeric" in ran.err
