"""What belongs to a part: nodes of one call, of branches, and those that a tool put between."""

from pathlib import Path

import msgspec
import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.record import Record
from modelexport.rewriter import annotate, extract, split
from tests.helpers.handmade import parse, record_of

CALLS = {"f@0": ["n0", "n1"], "f@1": ["n3", "n4"]}


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    """An annotated file beside the plain one: a module of two nodes runs twice."""
    text = "g (float[4] x) => (float[4] y) { [n0] a = Abs (x) [n1] b = Exp (a) [n2] c = Sin (b) "
    model = parse(text + "[n3] d = Abs (c) [n4] y = Exp (d) }")
    onnx.save(model, tmp_path / "plain.onnx")
    record = record_of(model, {"": "Net", "f": "Act"}, ["f", "f", "", "f", "f"])
    modules = [msgspec.structs.replace(m, calls=2 if m.path else 1) for m in record.modules]
    ops = [msgspec.structs.replace(op, call=int(n > 2)) for n, op in enumerate(record.ops)]
    record = msgspec.structs.replace(record, modules=tuple(modules), ops=type(record.ops)(ops))
    annotate(tmp_path / "plain.onnx", record, tmp_path / "twice.onnx")
    return tmp_path / "twice.onnx"


@pytest.mark.parametrize("silent", [["n0", "n3"], ["n1", "n4"]])
def test_the_call_of_a_node_is_that_of_its_neighbours(
    twice: Path, tmp_path: Path, silent: list[str]
) -> None:
    """Of the nodes that read it, else of those that it reads from, in the same module."""
    model = onnx.load(twice)
    assert model.graph.node
    for node in model.graph.node:
        entries = [e for e in node.metadata_props if node.name in silent and e.key == keys.CALL]
        assert len(entries) == (node.name in silent)
        for entry in entries:
            node.metadata_props.remove(entry)
    onnx.save(model, tmp_path / "silent.onnx")
    for name, nodes in CALLS.items():
        part = tmp_path / "part.onnx"
        assert extract(tmp_path / "silent.onnx", name, part, check=True, force=True).equal
        assert [node.name for node in onnx.load(part).graph.node] == nodes


def test_calls_are_inherited(twice: Path, tmp_path: Path) -> None:
    """A file that is placed by an annotated one has its calls."""
    part = tmp_path / "part.onnx"
    for name, nodes in CALLS.items():
        extract(twice.with_name("plain.onnx"), name, part, inherit_from=twice, force=True)
        assert [node.name for node in onnx.load(part).graph.node] == nodes


def _branching(folder: Path) -> tuple[Path, Record]:
    """A module in a branch of an If of the root, between two others."""
    model = parse(
        "g (float[4] x, bool flag) => (float[4] y) { [n0] a = Abs (x)"
        "[n1] b = If (flag) <then_branch = t () => (float[4] r) { [inner] r = Exp (a) },"
        "else_branch = e () => (float[4] s) { [other] s = Sin (a) }> [n2] y = Abs (b) }"
    )
    onnx.save(model, folder / "m.onnx")
    scopes = ["inside" if key.graph else "" for key, _ in walk_nodes(model)]
    scopes[0], scopes[2] = "before", "after"
    modules = dict.fromkeys(["", "before", "inside", "after"], "Part")
    return folder / "m.onnx", record_of(model, modules, scopes)


def test_a_part_without_its_branch_is_refused(tmp_path: Path) -> None:
    """Nodes that are in a branch would be missing from it; with the If they are not."""
    path, record = _branching(tmp_path)
    for modules in (["inside"], ["inside", "after"]):
        with pytest.raises(UsageError, match="inside a branch"):
            extract(path, modules, None, record=record)
    assert extract(path, "", tmp_path / "p.onnx", record=record, check=True).equal


def test_a_stage_takes_the_node_around_its_module(tmp_path: Path) -> None:
    """The If goes into the stage of the module in its branch, not where it could run first."""
    path, record = _branching(tmp_path)
    stages = [["before"], ["inside"], ["after"]]
    result = split(path, tmp_path / "s", stages, record=record, check=True)
    files = [onnx.load(tmp_path / "s" / part.file) for part in result.parts]
    assert result.equal
    assert [[node.name for node in file.graph.node] for file in files] == [["n0"], ["n1"], ["n2"]]


def _with_gap(folder: Path, text: str, scopes: list[str]) -> Path:
    """An annotated file of modules `a` and `b`."""
    model = parse(f"g (float[4] x) => (float[4] y) <float s = {{0.5}}> {{ {text} }}")
    onnx.save(model, folder / "plain.onnx")
    record = record_of(model, {"": "Net", "a": "Part", "b": "Part"}, scopes)
    annotate(folder / "plain.onnx", record, folder / "gap.onnx", force=True)
    return folder / "gap.onnx"


QUANTISED = "[n0] c = Abs (x) [q] d = QuantizeLinear (c, s) [dq] e = DequantizeLinear (d, s) "


@pytest.mark.parametrize("module", ["", "b"])
@pytest.mark.parametrize("reader", ["", "[n2] z = Sin (e) "])
def test_nodes_that_round_between_belong_to_the_part(
    tmp_path: Path, module: str, reader: str
) -> None:
    """Whatever their module, and whether others read them."""
    text = f"{QUANTISED}{reader}[n1] y = Exp (e)"
    path = _with_gap(tmp_path, text, ["a", module, module, *(["b"] if reader else []), "a"])
    result = extract(path, "a", tmp_path / "p.onnx", check=True)
    names = [node.name for node in onnx.load(tmp_path / "p.onnx").graph.node]
    assert (result.equal, names) == (True, ["n0", "q", "dq", "n1"])


BETWEEN = "[n0] c = Abs (x) [n1] d = Exp (c) [n2] y = Sin (d)"


@pytest.mark.parametrize("tagged", [True, False])
def test_a_node_between_those_of_one_call_ran_in_it(tmp_path: Path, *, tagged: bool) -> None:
    """If its tag says no more; the note names it. It is no node of a module beside it."""
    path = _with_gap(tmp_path, BETWEEN, ["a", "", "a"])
    if not tagged:
        model = onnx.load(path)
        del model.graph.node[1].metadata_props[:]
        onnx.save(model, path)
    result = extract(path, "a", tmp_path / "p.onnx", check=True)
    assert (result.equal, result.nodes) == (True, 3)
    assert [note for note in result.notes if "between those of the module: n1 (Exp" in note]
    with pytest.raises(UsageError, match=r"nodes outside of it: n1 \(Exp, /Net/b\)"):
        extract(_with_gap(tmp_path, BETWEEN, ["a", "b", "a"]), "a", None)


def test_between_two_calls_or_modules_a_node_ran_outside(tmp_path: Path) -> None:
    """A container has the nodes within the calls of its modules, and none between these."""
    text = "[n0] c = Abs (x) [n1] d = Exp (c) [n2] e = Sin (d) [n3] f = Cos (e) [n4] y = Abs (f)"
    model = parse(f"g (float[4] x) => (float[4] y) {{ {text} }}")
    onnx.save(model, tmp_path / "plain.onnx")
    modules = {"": "Net", "a": "ModuleList", "a.0": "Part", "a.1": "Part"}
    for scopes, convex in (
        (["a.0", "", "a.0", "a.1", "a.1"], True),
        (["a.0", "a.0", "", "a.1", "a.1"], False),
    ):
        record = record_of(model, modules, scopes)
        annotate(tmp_path / "plain.onnx", record, tmp_path / "m.onnx", force=True)
        if convex:
            assert extract(tmp_path / "m.onnx", "a", tmp_path / "p.onnx", check=True).nodes == 5
        else:
            with pytest.raises(UsageError, match=r"nodes outside of it: n2 \(Sin, /Net\)"):
                extract(tmp_path / "m.onnx", "a", None)


def test_a_node_that_only_rounds_an_input_is_copied(tmp_path: Path) -> None:
    """A quantiser writes one for all that read the value; it opens no gap, and is no output."""
    text = (
        "[q] c = QuantizeLinear (x, s) [dq] d = DequantizeLinear (c, s) [n0] e = Abs (d)"
        "[n1] f = Add (e, d) [n2] y = Exp (f)"
    )
    path = _with_gap(tmp_path, text, ["a", "a", "b", "a", "a"])
    result = extract(path, "a", tmp_path / "p.onnx", check=True)
    assert (result.equal, [t.name for t in result.inputs]) == (True, ["x", "e"])
    assert [t.name for t in result.outputs] == ["y"]


def test_nodes_of_weights_alone_open_no_gap(tmp_path: Path) -> None:
    """A part has its own copies of them, whatever their module."""
    text = (
        "[w] v = Neg (s) [w1] u = Abs (v) [w2] t = Exp (u) [n0] c = Add (x, v) [n1] y = Add (c, t)"
    )
    path = _with_gap(tmp_path, text, ["a", "b", "a", "a", "a"])
    result = extract(path, "a", tmp_path / "p.onnx", check=True)
    assert (result.equal, result.nodes) == (True, 5)
    assert [value.name for value in onnx.load(tmp_path / "p.onnx").graph.input] == ["x"]
