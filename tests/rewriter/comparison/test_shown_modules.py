"""Comparing one module and what is below it, down to a depth: what is shown, and what it says."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from agreement.kept import ORT_EXTENDED
from agreement.lossy import DYNAMIC, HALF_PRECISION
from agreement.steps import Conversion
from fixtures_gen.truth import feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter import (
    Comparison,
    ModuleChange,
    Numeric,
    NumericComparison,
    Status,
    analyze,
    annotate,
    compare,
)
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.traced import TracedModels
from tests.helpers.versions import perturb_module, write_layers

NAME, EXPORTER = "bert", "torchscript"
STEPS = {"optimised": ORT_EXTENDED, "dynamic": DYNAMIC, "half": HALF_PRECISION}
Files = Callable[[str], Path]


class Modules:
    """What the record of the model says of its modules.

    Attributes:
        tags: Writes their tags.
        deepest: Steps of the longest tag below its root.
        holding: Paths of those that have nodes, or hold some that do.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.tags = Tagger(record.tree, TagRules())
        self.deepest = max(self.tags.tag(m.path).count("/") for m in record.modules)
        owners = {op.module or "" for op in record.ops}
        self.holding = [
            m.path for m in record.modules if any(is_within(path, m.path) for path in owners)
        ]

    def siblings(self, path: str) -> list[str]:
        """The modules beside one that run."""
        above = path.rpartition(".")[0]
        return [p for p in self.holding if p and p.rpartition(".")[0] == above and p != path]


@pytest.fixture(scope="module")
def modules(traced: TracedModels) -> Modules:
    return Modules(traced(NAME, EXPORTER).record)


@pytest.fixture(scope="module")
def files(traced: TracedModels, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Annotated files of one model: as traced, and as tools made others of it."""
    folder = tmp_path_factory.mktemp("shown")
    plain = traced(NAME, EXPORTER).onnx_path

    def make(kind: str) -> Path:
        target = folder / f"{kind}.onnx"
        if not target.exists():
            source = plain
            if kind != "plain":
                source = folder / f"bare-{kind}.onnx"
                inputs = feeds(*FIXTURES[NAME].build(), onnx.load(plain).graph)
                STEPS[kind].apply(Conversion(plain, source, inputs))
            annotate(source, traced(NAME, EXPORTER).record, target)
        return target

    return make


def cut(tag: str, depth: int) -> str:
    """A tag with so many steps below the root at most."""
    return "/".join(tag.split("/")[: depth + 2])


def below(tag: str, above: str) -> bool:
    return tag == above or tag.startswith((f"{above}/", f"{above}."))


def operators(path: Path, row: Callable[[str], str]) -> dict[str, Counter[str]]:
    """Operators of the nodes by the row that their tag belongs to."""
    operators_by_row: dict[str, Counter[str]] = {}
    for node in onnx.load(path).graph.node:
        tag = next(e.value for e in node.metadata_props if e.key == keys.TAG)
        operators_by_row.setdefault(row(tag), Counter())[op_type(node)] += 1
    return operators_by_row


def sums(rows: list[ModuleChange], of: str) -> int:
    return sum(getattr(row, of) for row in rows)


@pytest.mark.parametrize("kind", ["plain", *STEPS])
def test_the_deepest_rows_stand_for_all_inside(files: Files, modules: Modules, kind: str) -> None:
    """No row is deeper, each has the nodes and weights of all that is cut away below it."""
    whole = compare(files("plain"), files(kind))
    assert modules.deepest > 2
    for depth in range(modules.deepest):
        check_rows(files, kind, depth, whole)
    assert compare(files("plain"), files(kind), depth=modules.deepest).modules == whole.modules


def check_rows(files: Files, kind: str, depth: int, whole: Comparison) -> None:
    comparison = compare(files("plain"), files(kind), depth=depth)
    a, b = (operators(files(k), lambda tag: cut(tag, depth)) for k in ("plain", kind))
    assert {row.tag for row in comparison.modules} == {cut(row.tag, depth) for row in whole.modules}
    assert comparison.modules
    for row in comparison.modules:
        inside = [other for other in whole.modules if cut(other.tag, depth) == row.tag]
        left, right = a.get(row.tag, Counter()), b.get(row.tag, Counter())
        assert (row.nodes_a, row.nodes_b) == (left.total(), right.total())
        assert (Counter(row.gained), Counter(row.lost)) == (right - left, left - right)
        for of in ("parameters_a", "parameters_b", "bytes_a", "bytes_b"):
            assert getattr(row, of) == sums(inside, of)
        same = all(other.status is Status.SAME for other in inside)
        assert (row.status is Status.SAME) == same
    assert comparison.same == whole.same
    assert (comparison.gained, comparison.lost) == (whole.gained, whole.lost)


def test_a_module_and_what_is_below_it(files: Files, modules: Modules) -> None:
    """By path or by tag: its rows are those of the whole, and the verdict is about them."""
    whole = compare(files("plain"), files("optimised"))
    assert modules.holding
    for path in modules.holding:
        check_module(files, path, modules.tags.tag(path), whole)


def check_module(files: Files, path: str, tag: str, whole: Comparison) -> None:
    comparison = compare(files("plain"), files("optimised"), module=path)
    assert comparison.modules == [row for row in whole.modules if below(row.tag, tag)]
    assert comparison == compare(files("plain"), files("optimised"), module=tag)
    assert comparison.same == all(row.status is Status.SAME for row in comparison.modules)
    assert comparison.module == tag
    lost: Counter[str] = Counter()
    for kind, sign in (("plain", 1), ("optimised", -1)):
        for at, counted in operators(files(kind), str).items():
            if below(at, tag):
                lost.update({op: sign * count for op, count in counted.items()})
    assert Counter(comparison.lost) - Counter(comparison.gained) == +lost


@pytest.mark.parametrize("depth", [None, 0, 1])
def test_the_same_modules_as_analyze_shows(
    files: Files, modules: Modules, depth: int | None
) -> None:
    """Both options mean there what they mean here: of rows with nodes, none is more or less."""
    assert modules.holding
    for path in modules.holding:
        check_as_analyzed(files, path, depth)


def check_as_analyzed(files: Files, path: str, depth: int | None) -> None:
    rows = analyze(files("plain"), module=path, depth=depth).modules
    compared = compare(files("plain"), files("plain"), module=path, depth=depth).modules
    top = [row for row in rows if not any(below(row.tag, r.tag) for r in rows if r is not row)]
    inside = [
        row
        for row in rows
        if row.nodes and not any(below(r.tag, row.tag) for r in rows if r is not row)
    ]
    assert {row.tag for row in compared} <= {row.tag for row in rows}
    assert {row.tag for row in inside} <= {row.tag for row in compared}
    assert sums(compared, "nodes_a") == sum(row.nodes for row in top)
    assert sums(compared, "parameters_a") == sum(row.parameters for row in top)


@pytest.mark.parametrize("kind", STEPS)
def test_values_that_leave_what_is_shown(files: Files, modules: Modules, kind: str) -> None:
    """Those of the whole that leave a module that is shown; the first one to diverge is told."""
    both = files("plain"), files(kind)
    whole = compare(*both, record=modules.record, numeric=Numeric()).numeric
    assert whole is not None
    assert modules.deepest > 2
    for depth in range(modules.deepest + 1):
        numeric = compare(*both, record=modules.record, numeric=Numeric(), depth=depth).numeric
        assert numeric is not None
        check_values(numeric, whole, depth)


def check_values(numeric: NumericComparison, whole: NumericComparison, depth: int) -> None:
    values_by_name = {value.a: value for value in whole.values}
    assert numeric.values
    for value in numeric.values:
        same_value = values_by_name[value.a]
        assert value.tag.count("/") <= depth + 1
        assert below(same_value.tag, value.tag)
        assert (value.b, value.relative) == (same_value.b, same_value.relative)
    shallow = {v.a for v in whole.values if v.tag == cut(v.tag, depth)}
    assert shallow <= {value.a for value in numeric.values}
    assert numeric.first == (None if whole.first is None else cut(whole.first, depth))
    assert numeric.same == whole.same


def test_numbers_of_one_module(files: Files, modules: Modules, tmp_path: Path) -> None:
    """Divergence begins in the module whose weights were changed, and in none that runs before."""
    record = modules.record
    weighted = [module.path for module in record.modules if module.parameters and module.calls]
    assert weighted
    for path in weighted:
        other = perturb_module(files("plain"), tmp_path / "b.onnx", record, path)
        check_divergence(files("plain"), other, modules, path)


def check_divergence(plain: Path, other: Path, modules: Modules, path: str) -> None:
    record = modules.record
    whole = compare(plain, other, record=record, numeric=Numeric()).numeric
    assert whole is not None
    for module in (path, *modules.siblings(path)):
        comparison = compare(plain, other, record=record, numeric=Numeric(), module=module)
        assert comparison.numeric is not None
        tag = modules.tags.tag(module)
        inside = [value for value in whole.values if below(value.tag, tag)]
        assert comparison.numeric.values == inside
        assert comparison.same == (not any(value.diverges for value in inside))
        begins = [value for value in comparison.numeric.values if value.begins]
        assert bool(begins) == (module == path)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_module_of_a_model_within_another(tmp_path: Path, *, swapped: bool) -> None:
    """Called by its name in either file; around it, the larger one's other modules count."""
    one, two = (
        write_layers(tmp_path, "one"),
        write_layers(tmp_path, "two", prefix="body.", more=True),
    )
    both = (two, one) if swapped else (one, two)
    inner = [compare(*both, module=name) for name in ("layer.0", "body.layer.0")]
    assert inner[0] == inner[1]
    assert inner[0].same
    assert inner[0].modules
    outer = compare(*both, module="/Outer")
    assert {row.tag for row in outer.changes()} == {row.tag for row in compare(*both).changes()}
    assert not outer.same


@pytest.mark.parametrize("rules", [TagRules(depth=1)])
def test_modules_that_a_file_has_not(tmp_path: Path, rules: TagRules) -> None:
    """Refused, with what comes near: also one that the tags of both files were cut above."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", two_layers_record(), tmp_path / "a.onnx", rules=rules)
    file = tmp_path / "a.onnx"
    path = next(m.path for m in two_layers_record().modules if m.path.count(".") > 1)
    for name in (path, "layer.11"):
        with pytest.raises(UsageError, match=r"layer\.1"):
            compare(file, file, module=name)
    assert compare(file, file, module=path.rpartition(".")[0]).same


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
@pytest.mark.parametrize("numeric", [[], ["--numeric"]])
def test_every_format_shows_the_same(
    files: Files, modules: Modules, run: Run, form: str, numeric: list[str]
) -> None:
    """The rows that are shown are in it and no others; the exit code is the verdict."""
    both = files("plain"), files("optimised")
    whole = compare(*both)
    path = next(p for p in modules.holding if not compare(*both, module=p).same)
    options = Numeric() if numeric else None
    comparison: Comparison = compare(*both, module=path, depth=0, numeric=options)
    ran = run("compare", *both, "--module", path, "--depth", "0", *numeric, "--output-format", form)
    assert (ran.code, ran.err) == (1, "")
    assert str(comparison.module) in ran.out
    shown = {row.tag for row in comparison.modules}
    hidden = {row.tag for row in whole.changes() if not any(below(s, row.tag) for s in shown)}
    assert hidden
    assert not any(tag in ran.out for tag in hidden)
    if form == "json":
        printed = json.loads(ran.out)
        assert (printed["module"], printed["depth"]) == (comparison.module, 0)
        assert [row["tag"] for row in printed["modules"]] == [row.tag for row in comparison.modules]
    same = next(p for p in modules.holding if compare(*both, module=p).same)
    assert run("compare", *both, "--module", same, "--output-format", form).code == 0


def test_there_is_something_to_show(modules: Modules) -> None:
    """Modules stand inside modules, or nothing above would test anything."""
    assert any(path.count(".") > 2 for path in modules.holding)
