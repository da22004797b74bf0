"""Choosing nodes by module, class and operator."""

from pathlib import Path

import onnx
import pytest

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter import annotate, select_nodes
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.selection.results import Selection
from tests.helpers.commands import Run
from tests.helpers.handmade import layers


def _positions(selection: Selection) -> list[int]:
    return [node.position for node in selection.nodes]


def test_a_module_stands_for_what_is_inside_it(annotated: Path) -> None:
    """Each node's own module says so, by path and by tag."""
    decisions = annotate(annotated, None, None).decisions
    expected = [d.position for d in decisions if d.module and is_within(d.module, "layer.1")]
    assert expected
    for name in ("layer.1", "/Net/layer.1", "layer.1*", "*/layer.1"):
        assert _positions(select_nodes(annotated, [name])) == expected


def test_a_name_does_not_mean_longer_names(tmp_path: Path) -> None:
    """`layer.1` is not `layer.10`."""
    model, record = layers(*["Relu"] * 11)
    onnx.save(model, tmp_path / "m.onnx")
    selection = select_nodes(tmp_path / "m.onnx", ["layer.1"], record=record)
    assert {node.module for node in selection.nodes} == {"layer.1", "layer.1.fc"}


def test_modules_classes_and_operators_narrow_each_other(annotated: Path) -> None:
    """Several of one kind add up."""
    both = select_nodes(annotated, ["layer.0", "layer.1"])
    assert _positions(both) == sorted(
        _positions(select_nodes(annotated, ["layer.0"]))
        + _positions(select_nodes(annotated, ["layer.1"]))
    )
    linear = select_nodes(annotated, ["layer.0"], classes=["Lin*"], op_types=["MatMul", "Relu"])
    assert [(n.op_type, n.module) for n in linear.nodes] == [("MatMul", "layer.0.fc")]


def test_not_selects_the_rest(annotated: Path) -> None:
    """The two together are the whole file."""
    chosen = select_nodes(annotated, ["layer.0"])
    rest = select_nodes(annotated, ["layer.0"], inverted=True)
    assert sorted(_positions(chosen) + _positions(rest)) == list(range(chosen.total))


def test_calls_of_a_module_are_told_apart(annotated: Path) -> None:
    """`PATH@1` is the second call; a call that does not exist is an error that lists the calls."""
    model = onnx.load(annotated)
    for node in model.graph.node[5:7]:
        for entry in node.metadata_props:
            if entry.key == keys.TAG:
                entry.value = "/Net/layer.0/fc"
        node.metadata_props.add(key=keys.CALL, value="1")
    onnx.save(model, annotated)
    assert _positions(select_nodes(annotated, ["layer.0.fc@0"])) == [1, 2]
    assert _positions(select_nodes(annotated, ["layer.0.fc@1"])) == [5, 6]
    assert _positions(select_nodes(annotated, ["layer.0.fc"])) == [1, 2, 5, 6]
    with pytest.raises(UsageError, match=r"no node ran in call 7 of layer.0.fc; .* @0, @1"):
        select_nodes(annotated, ["layer.0.fc@7"])


def test_fused_nodes_are_told_and_can_be_selected(annotated: Path) -> None:
    """A node outside the module that covers it does some of its work."""
    model = onnx.load(annotated)
    node = model.graph.node[3]
    node.metadata_props.add(key=keys.COVERS, value='["/Net/layer.0", "/Net/layer.0/fc"]')
    onnx.save(model, annotated)
    selection = select_nodes(annotated, ["layer.0.fc"])
    assert _positions(selection) == [1, 2]
    assert [note for note in selection.notes if "--partly" in note and "/Net/layer.0" in note]
    assert _positions(select_nodes(annotated, ["layer.0.fc"], partly=True)) == [1, 2, 3]
    of_class = select_nodes(annotated, ["layer.0"], classes=["Linear"], partly=True)
    assert _positions(of_class) == [1, 2, 3]


def test_a_module_without_nodes_of_its_own_is_told_where_its_work_is(annotated: Path) -> None:
    """An exporter merges a padding into a convolution: the node is then of the module around."""
    model = onnx.load(annotated)
    for node in model.graph.node[1:3]:
        (tag,) = (entry for entry in node.metadata_props if entry.key == keys.TAG)
        covered = tag.value
        tag.value = covered.rpartition("/")[0]
        node.metadata_props.add(key=keys.COVERS, value=f'["{tag.value}", "{covered}"]')
    onnx.save(model, annotated)
    for options in ({"modules": ["layer.0.fc"]}, {"modules": ["layer.0"], "classes": ["Linear"]}):
        with pytest.raises(UsageError, match=r"2 fused nodes in /Net/layer\.0 do some .* --partly"):
            select_nodes(annotated, **options)  # type: ignore[arg-type]
        assert _positions(select_nodes(annotated, **options, partly=True)) == [1, 2]  # type: ignore[arg-type]


def test_a_range_is_several_modules(annotated: Path) -> None:
    """As `extract` takes it."""
    both = select_nodes(annotated, ["layer.0", "layer.1"])
    assert _positions(select_nodes(annotated, ["layer.0-1"])) == _positions(both)
    with pytest.raises(UsageError, match=r"lower number: layer\.0-1"):
        select_nodes(annotated, ["layer.1-0"])


def test_names_that_tell_too_little_are_told(annotated: Path) -> None:
    """Nodes without a name, and names that other nodes have: with the way out, which works."""
    model = onnx.load(annotated)
    model.graph.node[1].name = ""
    model.graph.node[2].name = model.graph.node[6].name
    onnx.save(model, annotated)
    selection = select_nodes(annotated, ["layer.0.fc"])
    assert (selection.without_name, selection.shared_names) == (1, [model.graph.node[6].name])
    assert sum("--inject names" in note for note in selection.notes) == 2
    named = annotated.with_name("named.onnx")
    annotate(annotated, None, named, inject=["metadata", "names"])
    again = select_nodes(named, ["layer.0.fc"])
    assert (again.without_name, again.shared_names, again.notes) == (0, [], [])
    assert len(again.names) == len(again.nodes) == len(selection.nodes)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ([], "needs --module, --class, --op-type or --line"),
        (["--module", "layer.7"], "Similar names: "),
        (["--class", "Conv"], "its classes are Block, Linear, ModuleList, Net"),
        (["--module", "layer.0", "--op-type", "Conv"], "no node is a Conv; its operators are "),
        (["--class", "Net", "--not"], "no node is selected"),
        (["--module", "layer.1-0"], "a range begins with its lower number: layer.0-1."),
        (["--module", "layer.0-2"], "is called 'layer.2'"),
        (["--module", "layer.0", "--format", "layer-ann"], "needs -o OUT.onnx"),
        (["--module", "layer.0", "--device", "cpu"], "need --format layer-ann"),
        (["--module", "layer.0", "--format", "layer-ann", "-o", "-"], "- cannot be used here"),
        (
            ["--module", "layer.0", "--format", "layer-ann", "--device", "a;b", "-o", "new.onnx"],
            "--device a;b: a device is one word",
        ),
    ],
)
def test_what_selects_nothing_is_an_error(
    run: Run, annotated: Path, options: list[str], answer: str
) -> None:
    """One sentence on standard error, nothing on standard output, exit code 2."""
    ran = run("select", annotated, *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert answer in ran.err


def test_a_range_is_all_of_its_modules(annotated: Path) -> None:
    """As one by one; the numbers are at the end of a path or of a tag."""
    one_by_one = select_nodes(annotated, ["layer.0", "layer.1"])
    with PlacedFile.open(annotated) as file:
        tag = file.tagger.tag("layer.0").removesuffix("0") + "0-1"
    for name in ("layer.0-1", tag):
        assert select_nodes(annotated, [name]) == one_by_one


def test_names_are_printed_one_a_line(run: Run, annotated: Path) -> None:
    """The default form."""
    ran = run("select", annotated, "--module", "layer.0")
    assert ran.code == 0
    assert ran.out.splitlines() == select_nodes(annotated, ["layer.0"]).names


def test_nodes_without_any_name_are_no_selection(run: Run, annotated: Path) -> None:
    """For a tool that takes names; `json` gives their positions."""
    model = onnx.load(annotated)
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, annotated)
    ran = run("select", annotated, "--module", "layer.0", "--format", "ort")
    assert ran.code == 2
    assert "--inject names" in ran.err
    assert run("select", annotated, "--module", "layer.0", "--format", "json").code == 0
