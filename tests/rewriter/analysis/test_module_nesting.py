"""The figures of a module are those of its nodes and parameters, wherever they are below it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter import analyze, annotate, compare
from tests.helpers.commands import Run
from tests.helpers.handmade import record_of
from tests.helpers.traced import TracedModels, every_case

Spec = tuple[bool, list[tuple[str, "Spec"]]]
"""A module: whether it has work of its own, and its children by name."""

NUMBERS = ("0", "1", "2", "10")
EXTRA: Spec = (True, [(number, (True, [])) for number in NUMBERS[:3]])
"""A Sequential with a forward of its own."""


def specs() -> st.SearchStrategy[Spec]:
    """Trees in which numbered and named children stand beside each other, at every level."""
    names = st.sampled_from([*NUMBERS, "a", "b", "list"])
    return st.recursive(
        st.tuples(st.booleans(), st.just([])),
        lambda children: st.tuples(
            st.booleans(),
            st.lists(st.tuples(names, children), max_size=3, unique_by=lambda c: c[0]),
        ),
        max_leaves=8,
    )


def listed(spec: Spec, path: str = "") -> Iterator[tuple[str, bool]]:
    """Each module's path, and whether it works."""
    works, children = spec
    yield path, works
    for name, child in children:
        yield from listed(child, f"{path}.{name}" if path else name)


def class_of(path: str, paths: Sequence[str]) -> str:
    """A class of its own; leaves of one parent share theirs."""
    holder = any(is_within(other, path) and other != path for other in paths)
    name = path if holder else f"leaf.{path.rpartition('.')[0]}"
    return "C" + name.replace(".", "_")


def build(spec: Spec, *, torch_leaves: bool = False) -> tuple[onnx.ModelProto, Record]:
    """A chain of nodes: each working module multiplies by a weight of its own, and adds to it."""
    modules = dict(listed((True, spec[1])))
    nodes, scopes, weights, value = [], list[str](), [], "x"
    for number, path in enumerate(path for path, works in modules.items() if works):
        weights.append(numpy_helper.from_array(np.eye(4, dtype=np.float32), f"{path}.weight"))
        names = [value, weights[-1].name]
        nodes.append(helper.make_node("MatMul", names, [f"h{number}"], f"m{number}"))
        nodes.append(helper.make_node("Relu", [f"h{number}"], [f"v{number}"], f"r{number}"))
        scopes += [path, path]
        value = f"v{number}"
    ends = [helper.make_tensor_value_info(name, 1, ["N", 4]) for name in ("x", value)]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    paths = list(modules)
    classes = {path: class_of(path, paths) for path in paths}
    if torch_leaves:
        classes = {p: "Linear" if name.startswith("Cleaf") else name for p, name in classes.items()}
    return model, record_of(model, classes, scopes)


RULES = [
    TagRules(),
    TagRules(TagStyle.CLASS),
    TagRules(depth=1),
    TagRules(depth=2),
    TagRules(TagStyle.PATH, TorchNN.ROLL_UP),
]


@pytest.mark.parametrize("rules", RULES, ids=str)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=specs())
def test_a_row_has_the_nodes_at_and_below_its_modules(rules: TagRules, spec: Spec) -> None:
    """However tags are written: modules that share a tag are counted together."""
    model, record = build(spec, torch_leaves=rules.torch_nn is TorchNN.ROLL_UP)
    with TemporaryDirectory() as folder:
        onnx.save(model, f"{folder}/plain.onnx")
        report = annotate(f"{folder}/plain.onnx", record, f"{folder}/a.onnx", rules=rules)
        rows = analyze(f"{folder}/a.onnx").modules
    tagger = Tagger(record.tree, rules)
    of_tag: dict[str, list[str]] = {}
    for module in record.tree:
        of_tag.setdefault(tagger.tag(module.path), []).append(module.path)
    nodes = {
        tag: sum(any(is_within(d.module or "", p) for p in paths) for d in report.decisions)
        for tag, paths in of_tag.items()
    }
    sizes = {
        tag: sum(
            parameter.size
            for module in record.tree
            if any(is_within(module.path, path) for path in paths)
            for parameter in module.parameters
        )
        for tag, paths in of_tag.items()
    }
    assert {row.tag: row.nodes for row in rows} == {t: n for t, n in nodes.items() if n}
    assert [row.parameters for row in rows] == [sizes[row.tag] for row in rows]
    assert sum(row.own_nodes for row in rows) == len(report.decisions)


@every_case
def test_figures_of_traced_models(
    traced: TracedModels, name: str, exporter: str, tmp_path: Path
) -> None:
    """Nodes are those tagged at or below a module, parameters those that torch counts."""
    done = traced(name, exporter)
    report = annotate(done.onnx_path, done.record, tmp_path / "a.onnx")
    rows = {row.path: row for row in analyze(tmp_path / "a.onnx").modules}
    model, _ = FIXTURES[name].build()
    figures, expected = {}, {}
    for path, module in model.named_modules():
        nodes = sum(d.module is not None and is_within(d.module, path) for d in report.decisions)
        expected[path] = nodes, sum(p.numel() for p in module.parameters())
        figures[path] = (rows[path].nodes, rows[path].parameters) if path in rows else (0, 0)
    assert figures == expected


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    """An annotated file with a Sequential that works, below the root and in a list."""
    model, record = build((True, [("extra", EXTRA), ("list", (False, [("0", EXTRA)]))]))
    onnx.save(model, tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", record, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


@pytest.mark.parametrize("top", ["extra", "list.0"])
def test_a_depth_below_a_module_that_works(extra: Path, top: str) -> None:
    """Its numbered children are a step below it, for analyze and compare alike."""
    assert [row.path for row in analyze(extra, module=top, depth=0).modules] == [top]
    below = [row.path for row in analyze(extra, module=top, depth=1).modules]
    assert below == [top, *(f"{top}.{number}" for number in NUMBERS[:3])]
    (row,) = compare(extra, extra, module=top, depth=0).modules
    assert (row.tag.rpartition("/")[2], row.nodes_a) == (top, 2 * 4)
    assert len(compare(extra, extra, module=top, depth=1).modules) == 4


def test_a_depth_below_the_root(extra: Path) -> None:
    """A number is one step with a list, and a step of its own below a module that works."""
    shown = [row.path for row in analyze(extra, depth=1).modules]
    assert shown == ["", "extra", "list", "list.0"]
    rows = {
        row.tag.rpartition("/")[2]: row.nodes_a for row in compare(extra, extra, depth=1).modules
    }
    assert rows == {"C": 2, "extra": 8, "list.0": 8}


def test_every_view_shows_what_is_inside(extra: Path, run: Run) -> None:
    """A list that only holds numbered modules is named by them, and is in the data."""
    tree = run("analyze", extra).out
    assert "── extra Cextra  8 nodes" in tree
    assert "── list.0 Clist_0  8 nodes" in tree
    assert "── (0-2): 3 x Cleaf_extra  6 nodes" in tree
    assert "/list " not in run("analyze", extra, "--output-format", "markdown").out
    paths = [row.path for row in analyze(extra).modules]
    assert paths.index("list") == paths.index("list.0") - 1
