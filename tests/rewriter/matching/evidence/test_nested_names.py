"""Names that nest are read as a hierarchy, whichever framework wrote them; others are not."""

import random
import string
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import analyze, annotate
from modelexport.rewriter.matching import match_carried
from modelexport.rewriter.matching.evidence.carried_hierarchy import NESTED_NAMES
from modelexport.rewriter.matching.evidence.nested_names import BY_NAMES_ALONE, _names
from tests.helpers.commands import Run
from tests.helpers.handmade import two_layers, two_layers_record

LAYERS = ("conv2d", "conv2d_1", "dense")
OPERATORS = ("MatMul", "Add", "Relu")


def chain(names: Sequence[str]) -> onnx.ModelProto:
    """Nodes one after the other; each MatMul and Add has a weight of its own."""
    nodes, weights = [], []
    for number, name in enumerate(names):
        operator = OPERATORS[number % len(OPERATORS)]
        inputs = [f"v{number}"]
        if operator != "Relu":
            weights.append(numpy_helper.from_array(np.ones((4, 4), np.float32), f"w{number}"))
            inputs.append(weights[-1].name)
        nodes.append(helper.make_node(operator, inputs, [f"v{number + 1}"], name))
    ends = [helper.make_tensor_value_info(n, 1, [4, 4]) for n in ("v0", f"v{len(names)}")]
    graph = helper.make_graph(nodes, "main", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def scoped(prefix: str, suffix: Callable[[int], str] = lambda _: "") -> list[str]:
    """A name for each operator of each layer."""
    return [
        f"{prefix}{layer}/{operator}{suffix(number)}"
        for layer in LAYERS
        for number, operator in enumerate(OPERATORS)
    ]


SCHEMES = {
    "tensorflow": (scoped("StatefulPartitionedCall/model/"), "StatefulPartitionedCall.model."),
    "numbers behind": (scoped("StatefulPartitionedCall/s/", lambda n: f"__{n}:0"),
                       "StatefulPartitionedCall.s."),
    "no prefix": (scoped(""), ""),
    "leading slash": (scoped("/net/", lambda n: f"_fused_{n}"), "net."),
    "inlined": (scoped("If_0_else_branch__Inline_0__/", lambda n: f"_x{n}"),
                "If_0_else_branch__Inline_0__."),
    "deep": (scoped("a/b/c/d/"), "a.b.c.d."),
    "numbered child": (scoped("jit(f)/layer.0/"), "jit(f).layer.0."),
    "dots": (scoped("tf.nn.block/"), "tf_nn_block."),
}  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_scopes_are_modules(scheme: str) -> None:
    """Each node is in the module that its name says, and the match says that names say so."""
    names, prefix = SCHEMES[scheme]
    match, carried = match_carried(chain(names), "f")
    assert carried.scheme == NESTED_NAMES
    assert [d.module for d in match.decisions] == [
        prefix + layer for layer in LAYERS for _ in OPERATORS
    ]
    assert match.notes == (BY_NAMES_ALONE,)
    assert {d.evidence for d in match.decisions} == {"carried"}


def test_names_of_values_count_where_nodes_have_none() -> None:
    """Tools drop the names of nodes, and keep those of values."""
    model = chain(scoped("model/"))
    for node in model.graph.node:
        node.output[0], node.name = f"{node.name}_output_0", ""
    for before, node in zip(model.graph.node, model.graph.node[1:], strict=False):
        node.input[0] = before.output[0]
    match, _ = match_carried(model, "f")
    assert match.decisions[0].module == "model.conv2d"


def hashes(count: int) -> list[str]:
    """Random names of an alphabet that has a slash."""
    letters, source = string.ascii_letters + string.digits + "+/", random.Random(0)  # noqa: S311 - no secret
    return ["".join(source.choices(letters, k=16)) for _ in range(count)]


FLAT = {
    "no names": [""] * 9,
    "numbered": [f"node_{n}" for n in range(9)],
    "by operator": [f"{OPERATORS[n % 3]}/{n}" for n in range(9)],
    "dots": [f"p2o.{OPERATORS[n % 3]}.{n}" for n in range(9)],
    "one scope": [f"ops/{n}" for n in range(9)],
    "paths of files": [f"/home/user/models/net.onnx/node_{n}" for n in range(9)],
    "hashes": hashes(60),
    "converter": ["Sc_Scaler", "N1", "TreeEnsembleClassifier"],
}


@pytest.mark.parametrize("kind", FLAT)
def test_other_names_say_nothing(kind: str) -> None:
    """The message is true: there are no names that nest."""
    with pytest.raises(UsageError, match="no node names that nest"):
        match_carried(chain(FLAT[kind]), "f")


@pytest.mark.parametrize(("apart", "nests"), [(3, True), (4, False)])
def test_half_of_the_nodes_have_a_neighbour_in_their_scope(apart: int, nests: bool) -> None:
    """Six nodes have one; as many may have none, and not more."""
    names = [f"block{n // 2}/op{n}" for n in range(6)]
    # one group after the other, twice
    names += [f"far{number % apart}/op{number}" for number in range(2 * apart)]
    assert 6 / len(names) == 0.5 if nests else 6 / len(names) < 0.5
    if nests:
        assert match_carried(chain(names), "f")[1].scheme == NESTED_NAMES
    else:
        with pytest.raises(UsageError):
            match_carried(chain(names), "f")


@pytest.mark.parametrize(
    ("names", "nests"),
    [
        (["a/op0", "a/op1", "b/op2", "b/op3"], True),
        (["a/op0", "a/op1", "a/op2", "op3"], False),
        (["a/op0", "a/op1", *(f"s{n}/op" for n in range(6))], True),
        (["net/a/x", "net/b/y", "net/c/z"], True),
        (["a/x", "b/y", "c/z"], False),
    ],
    ids=["two groups", "one group", "alone", "shared scope", "no shared scope"],
)
def test_groups_of_nodes_are_scopes(names: list[str], nests: bool) -> None:
    """Two at least. Nodes that are alone in theirs do not count while others are not."""
    if nests:
        assert match_carried(chain(names), "f")[1].scheme == NESTED_NAMES
    else:
        with pytest.raises(UsageError):
            match_carried(chain(names), "f")


def test_a_node_without_any_name_is_of_no_scope() -> None:
    """One that has no output, either."""
    model = chain(scoped("model/"))
    model.graph.node.append(helper.make_node("Print", ["v1"], [], domain="custom"))
    assert match_carried(model, "f")[0].decisions[-1].module is None


def test_steps_become_names_of_modules() -> None:
    """A dot is no nesting unless a number follows; a step of dots has a name all the same."""
    assert [_names(step) for step in ("a.b", "a.0", ".0", "a%2Fb")] == ["a_b", "a.0", "_.0", "a/b"]


def test_a_scope_that_may_be_a_further_call_is_a_module() -> None:
    """Other frameworks number modules of one kind: nothing says that it is a call."""
    names = ["net/relu/Relu", "net/relu/Relu2", "net/relu_1/Relu", "net/relu_1/Relu2"]
    model = chain(names)
    for node in model.graph.node:
        node.op_type = "Relu"
        del node.input[1:]
    modules = [d.module for d in match_carried(model, "f")[0].decisions]
    assert modules == ["net.relu", "net.relu", "net.relu_1", "net.relu_1"]


def test_a_layer_called_again_is_one_module() -> None:
    """Its weights are those of the first call; a layer with others is another one."""
    model = chain(scoped("model/"))
    for first, again in zip(model.graph.node[:2], model.graph.node[3:5], strict=True):
        again.input[1] = first.input[1]
    match, _ = match_carried(model, "f")
    assert [d.module for d in match.decisions[3:5]] == ["model.conv2d", "model.conv2d"]


def test_figures_of_nested_names(tmp_path: Path, run: Run) -> None:
    """Weights that are not named after modules count where they are read."""
    onnx.save(chain(scoped("model/")), tmp_path / "m.onnx")
    rows = {row.path: row for row in analyze(tmp_path / "m.onnx").modules}
    assert [rows[f"model.{layer}"].parameters for layer in LAYERS] == [2 * 16] * 3
    assert rows["model"].nodes == 9
    shown = run("analyze", tmp_path / "m.onnx")
    assert "names of nodes alone" in shown.err


def test_a_file_that_tells_nothing_is_said_to(tmp_path: Path, run: Run) -> None:
    """The summary gives the way that is left."""
    onnx.save(chain(FLAT["converter"]), tmp_path / "m.onnx")
    out = run("analyze", tmp_path / "m.onnx").out
    assert "none: nothing in it tells modules; annotate it with a record" in out


@pytest.mark.parametrize("suffix", ["_quant", "__12", "/Fused", ":0"])
@pytest.mark.parametrize("tree", [True, False], ids=["tree", "no tree"])
def test_injected_names_survive_what_tools_add(tmp_path: Path, suffix: str, tree: bool) -> None:
    """With the module tree in the file or without it."""
    onnx.save(two_layers(), tmp_path / "plain.onnx")
    report = annotate(
        tmp_path / "plain.onnx", two_layers_record(), tmp_path / "n.onnx", inject=[Inject.NAMES]
    )
    model = onnx.load(tmp_path / "n.onnx")
    for node in model.graph.node:
        node.name += suffix
    if not tree:
        del model.metadata_props[:]
    onnx.save(model, tmp_path / "n.onnx")
    rows = {row.path: row.own_nodes for row in analyze(tmp_path / "n.onnx").modules}
    for path in ("layer.0.fc", "layer.1.fc"):
        same = [p for p in rows if p == path or p.startswith(path + ".")]
        wanted = sum(d.module == path for d in report.decisions)
        assert sum(rows[p] for p in same) == wanted


def test_joined_names_of_fused_nodes_share_a_scope() -> None:
    """The steps before those in which the joined names differ are the scope."""
    layers = [f"net/{layer}" for layer in LAYERS for _ in range(2)]
    fused = "{0}/conv/Conv2D;{0}/norm/Add"
    names = [(fused if n % 2 else "{0}/Relu").format(layer) for n, layer in enumerate(layers)]
    match, _ = match_carried(chain(names), "f")
    assert [d.module for d in match.decisions] == [layer.replace("/", ".") for layer in layers]
