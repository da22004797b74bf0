"""Comparing one module and what is below it, down to a depth: what is shown, and what it says."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from agreement.kept import ORT_EXTENDED
from agreement.lossy import DYNAMIC, HALF_PRECISION
from agreement.steps import Given
from fixtures_gen.truth import feeds
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter import (
    Comparison,
    ModuleChange,
    Numeric,
    Status,
    analyze,
    annotate,
    compare,
)
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.running import Run, runner
from tests.helpers.traced import traced
from tests.helpers.versions import layered, perturbed

NAME, EXPORTER = "bert", "torchscript"
STEPS = {"optimised": ORT_EXTENDED, "dynamic": DYNAMIC, "half": HALF_PRECISION}
RECORD = traced(NAME, EXPORTER).record
TAGS = Tagger(RECORD.tree, TagRules())
DEEPEST = max(TAGS.tag(m.path).count("/") for m in RECORD.modules)
HOLDING = [
    m.path for m in RECORD.modules if any(is_within(op.module or "", m.path) for op in RECORD.ops)
]
"""Modules that have nodes, or hold some that do."""
Files = Callable[[str], Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Annotated files of one model: as traced, and as tools made others of it."""
    folder = tmp_path_factory.mktemp("shown")
    plain = traced(NAME, EXPORTER).onnx_path

    def make(kind: str) -> Path:
        target = folder / f"{kind}.onnx"
        if not target.exists():
            source = plain
            if kind != "plain":
                source = folder / f"bare-{kind}.onnx"
                fed = feeds(*FIXTURES[NAME].build(), onnx.load(plain).graph)
                STEPS[kind].apply(Given(plain, source, fed))
            annotate(source, RECORD, target)
        return target

    return make


def cut(tag: str, depth: int) -> str:
    """A tag with so many steps below the root at most."""
    return "/".join(tag.split("/")[: depth + 2])


def below(tag: str, above: str) -> bool:
    return tag == above or tag.startswith((f"{above}/", f"{above}."))


def operators(path: Path, row: Callable[[str], str]) -> dict[str, Counter[str]]:
    """Operators of the nodes by the row that their tag belongs to."""
    found: dict[str, Counter[str]] = {}
    for node in onnx.load(path).graph.node:
        tag = next(e.value for e in node.metadata_props if e.key == keys.TAG)
        found.setdefault(row(tag), Counter())[op_type(node)] += 1
    return found


def sums(rows: list[ModuleChange], of: str) -> int:
    return sum(getattr(row, of) for row in rows)


@pytest.mark.parametrize("kind", ["plain", *STEPS])
@pytest.mark.parametrize("depth", range(DEEPEST + 1))
def test_the_deepest_rows_stand_for_all_inside(files: Files, kind: str, depth: int) -> None:
    """No row is deeper, each has the nodes and weights of all that is cut away below it."""
    every = compare(files("plain"), files(kind))
    found = compare(files("plain"), files(kind), depth=depth)
    a, b = (operators(files(k), lambda tag: cut(tag, depth)) for k in ("plain", kind))
    assert {row.tag for row in found.modules} == {cut(row.tag, depth) for row in every.modules}
    for row in found.modules:
        inside = [each for each in every.modules if cut(each.tag, depth) == row.tag]
        left, right = a.get(row.tag, Counter()), b.get(row.tag, Counter())
        assert (row.nodes_a, row.nodes_b) == (left.total(), right.total())
        assert (Counter(row.gained), Counter(row.lost)) == (right - left, left - right)
        for of in ("parameters_a", "parameters_b", "bytes_a", "bytes_b"):
            assert getattr(row, of) == sums(inside, of)
        same = all(each.status is Status.SAME for each in inside)
        assert (row.status is Status.SAME) == same
    assert found.same == every.same
    assert (found.gained, found.lost) == (every.gained, every.lost)
    if depth == DEEPEST:
        assert found.modules == every.modules


@pytest.mark.parametrize("path", HOLDING)
def test_a_module_and_what_is_below_it(files: Files, path: str) -> None:
    """By path or by tag: its rows are those of the whole, and the verdict is about them."""
    tag = TAGS.tag(path)
    every = compare(files("plain"), files("optimised"))
    found = compare(files("plain"), files("optimised"), module=path)
    assert found.modules == [row for row in every.modules if below(row.tag, tag)]
    assert found == compare(files("plain"), files("optimised"), module=tag)
    assert found.same == all(row.status is Status.SAME for row in found.modules)
    assert found.module == tag
    lost: Counter[str] = Counter()
    for kind, sign in (("plain", 1), ("optimised", -1)):
        for at, counted in operators(files(kind), str).items():
            if below(at, tag):
                lost.update({op: sign * count for op, count in counted.items()})
    assert Counter(found.lost) - Counter(found.gained) == +lost


@pytest.mark.parametrize("depth", [None, 0, 1])
@pytest.mark.parametrize("path", HOLDING)
def test_the_same_modules_as_analyze_shows(files: Files, path: str, depth: int | None) -> None:
    """Both options mean there what they mean here: of rows with nodes, none is more or less."""
    rows = analyze(files("plain"), module=path, depth=depth).modules
    found = compare(files("plain"), files("plain"), module=path, depth=depth).modules
    top = [row for row in rows if not any(below(row.tag, r.tag) for r in rows if r is not row)]
    inside = [
        row
        for row in rows
        if row.nodes and not any(below(r.tag, row.tag) for r in rows if r is not row)
    ]
    assert {row.tag for row in found} <= {row.tag for row in rows}
    assert {row.tag for row in inside} <= {row.tag for row in found}
    assert sums(found, "nodes_a") == sum(row.nodes for row in top)
    assert sums(found, "parameters_a") == sum(row.parameters for row in top)


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.parametrize("depth", range(DEEPEST + 1))
def test_values_that_leave_what_is_shown(files: Files, kind: str, depth: int) -> None:
    """Those of the whole that leave a module that is shown; the first one to diverge is told."""
    both = files("plain"), files(kind)
    every = compare(*both, record=RECORD, numeric=Numeric()).numeric
    found = compare(*both, record=RECORD, numeric=Numeric(), depth=depth).numeric
    assert every is not None
    assert found is not None
    known = {value.a: value for value in every.values}
    for value in found.values:
        whole = known[value.a]
        assert value.tag.count("/") <= depth + 1
        assert below(whole.tag, value.tag)
        assert (value.b, value.relative) == (whole.b, whole.relative)
    shallow = {v.a for v in every.values if v.tag == cut(v.tag, depth)}
    assert shallow <= {value.a for value in found.values}
    assert found.first == (None if every.first is None else cut(every.first, depth))
    assert found.same == every.same


@pytest.mark.parametrize("path", [m.path for m in RECORD.modules if m.parameters and m.calls])
def test_numbers_of_one_module(files: Files, tmp_path: Path, path: str) -> None:
    """Divergence begins in the module whose weights were changed, and in none that runs before."""
    other = perturbed(files("plain"), tmp_path / "b.onnx", RECORD, path)
    every = compare(files("plain"), other, record=RECORD, numeric=Numeric()).numeric
    assert every is not None
    for module in (path, *siblings(path)):
        found = compare(files("plain"), other, record=RECORD, numeric=Numeric(), module=module)
        assert found.numeric is not None
        tag = TAGS.tag(module)
        inside = [value for value in every.values if below(value.tag, tag)]
        assert found.numeric.values == inside
        assert found.same == (not any(value.diverges for value in inside))
        begins = [value for value in found.numeric.values if value.begins]
        assert bool(begins) == (module == path)


def siblings(path: str) -> list[str]:
    """The modules beside one that run."""
    above = path.rpartition(".")[0]
    return [p for p in HOLDING if p and p.rpartition(".")[0] == above and p != path]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_module_of_a_model_within_another(tmp_path: Path, *, swapped: bool) -> None:
    """Called by its name in either file; around it, the larger one's other modules count."""
    one, two = layered(tmp_path, "one"), layered(tmp_path, "two", prefix="body.", more=True)
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


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
@pytest.mark.parametrize("numeric", [[], ["--numeric"]])
def test_every_format_shows_the_same(files: Files, run: Run, form: str, numeric: list[str]) -> None:
    """The rows that are shown are in it and no others; the exit code is the verdict."""
    both = files("plain"), files("optimised")
    every = compare(*both)
    path = next(p for p in HOLDING if not compare(*both, module=p).same)
    asked = Numeric() if numeric else None
    found: Comparison = compare(*both, module=path, depth=0, numeric=asked)
    ran = run("compare", *both, "--module", path, "--depth", "0", *numeric, "--output-format", form)
    assert (ran.code, ran.err) == (1, "")
    assert str(found.module) in ran.out
    shown = {row.tag for row in found.modules}
    hidden = {row.tag for row in every.changes() if not any(below(s, row.tag) for s in shown)}
    assert hidden
    assert not any(tag in ran.out for tag in hidden)
    if form == "json":
        said = json.loads(ran.out)
        assert (said["module"], said["depth"]) == (found.module, 0)
        assert [row["tag"] for row in said["modules"]] == [row.tag for row in found.modules]
    same = next(p for p in HOLDING if compare(*both, module=p).same)
    assert run("compare", *both, "--module", same, "--output-format", form).code == 0


def test_there_is_something_to_show() -> None:
    """Modules stand inside modules, or nothing above would test anything."""
    assert DEEPEST > 2
    assert any(path.count(".") > 2 for path in HOLDING)
