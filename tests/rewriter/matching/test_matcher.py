"""Matching a file with a record: identity, names, and the refusal of what is foreign."""

import msgspec
import onnx
import pytest

from modelexport.errors import ForeignRecordError, UsageError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.matching import Match, MatchSources, match_carried, match_record
from tests.helpers.handmade import (
    TWO_LAYERS,
    TWO_LAYERS_MODULES,
    TWO_LAYERS_SCOPES,
    number_weights,
    record_of,
    two_layers,
    two_layers_record,
)


def modules(match: Match) -> dict[str, str | None]:
    return {decision.name: decision.module for decision in match.decisions}


def truth() -> dict[str, str | None]:
    names = [node.name for node in two_layers().graph.node]
    return dict(zip(names, TWO_LAYERS_SCOPES, strict=True))


def test_identity_follows_the_record_and_propagates_the_rest() -> None:
    """In the traced file every op with a scope is settled by identity, the others by neighbours."""
    match = match_record(two_layers(), two_layers_record(), "f")
    expected = truth() | {"first": "", "last": "layer.1"}
    assert modules(match) == expected
    known = sum(scope is not None for scope in TWO_LAYERS_SCOPES)
    assert match.counts() == {"identity": known, "propagation": len(expected) - known}


def test_renamed_tensors_leave_node_names() -> None:
    """With every tensor renamed, node names still settle the nodes."""
    model = two_layers()
    weights = {w.name for w in model.graph.initializer}
    for node in model.graph.node:
        node.input[:] = [n if n in weights else f"t_{n}" for n in node.input]
        node.output[:] = [f"t_{n}" for n in node.output]
    match = match_record(model, two_layers_record(), "f")
    assert {k: v for k, v in modules(match).items() if truth()[k]} == {
        k: v for k, v in truth().items() if v
    }
    assert match.counts()["names"] == sum(v is not None for v in truth().values())


def test_renamed_nodes_leave_output_names() -> None:
    """With every node renamed, output names still settle the nodes."""
    model = two_layers()
    names = [node.name for node in model.graph.node]
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    match = match_record(model, two_layers_record(), "f")
    actual = [decision.module for decision in match.decisions]
    expected = [truth()[name] for name in names]
    assert [f for f, e in zip(actual, expected, strict=True) if e] == [e for e in expected if e]


def test_shifted_numbers_are_not_believed() -> None:
    """Names that stand on other nodes than in the record settle nothing wrongly."""
    model = two_layers()
    here = {node.name: node for node in model.graph.node}
    for pair in (("proj0", "proj1"), ("bias0", "bias1"), ("relu0", "relu1"), ("plus0", "plus1")):
        first, second = here[pair[0]], here[pair[1]]
        swapped = {first.output[0]: second.output[0], second.output[0]: first.output[0]}
        for node in model.graph.node:
            node.input[:] = [swapped.get(n, n) for n in node.input]
            node.output[:] = [swapped.get(n, n) for n in node.output]
        first.name, second.name = second.name, first.name
    with pytest.raises(ForeignRecordError):
        match_record(model, two_layers_record(), "f")


def test_other_operator_of_the_same_name_is_not_believed() -> None:
    """A node whose name belongs to another operator stays unresolved and says why."""
    model = two_layers()
    model.graph.node[3].op_type = "Tanh"
    model.graph.node[3].input[0] = "h0"
    means = MatchSources(evidence=frozenset({EvidenceKind.NAMES}))
    decision = match_record(model, two_layers_record(), "f", means).decisions[3]
    assert decision.module is None
    assert "Relu, not a Tanh" in (decision.reason or "")


def test_record_of_another_model_is_refused() -> None:
    """Nothing in common: the error counts what was compared."""
    model = two_layers()
    renamed = msgspec.structs.replace(two_layers_record(), digest="other", ops=())
    with pytest.raises(ForeignRecordError, match=f"0 of {len(model.graph.node)} node names"):
        match_record(model, renamed, "f")


@pytest.mark.parametrize("width", [2, 8])
def test_record_of_another_width_is_refused(width: int) -> None:
    """A sibling of another width has every name in common, and other weights."""
    with pytest.raises(ForeignRecordError, match="0 of 4 common weights agree in size"):
        match_record(two_layers(width), two_layers_record(), "f")


def one_layer() -> onnx.ModelProto:
    model = two_layers()
    for node in list(model.graph.node)[5:9]:
        model.graph.node.remove(node)
    model.graph.node[-1].input[0] = "p0"
    for weight in list(model.graph.initializer)[2:]:
        model.graph.initializer.remove(weight)
    return model


def one_layer_record() -> Record:
    kept = {k: v for k, v in TWO_LAYERS_MODULES.items() if not k.startswith("layer.1")}
    return record_of(one_layer(), kept, (*TWO_LAYERS_SCOPES[:5], None))


def test_record_of_another_depth_is_refused() -> None:
    """A sibling with fewer or more layers is told by matrices that lack or are too many."""
    with pytest.raises(
        ForeignRecordError, match="1 of the record's 2 matrices have no counterpart"
    ):
        match_record(one_layer(), two_layers_record(), "f")
    with pytest.raises(
        ForeignRecordError, match="1 of 2 matrices have no counterpart in the record"
    ):
        match_record(two_layers(), one_layer_record(), "f")


def test_records_without_inputs_still_match() -> None:
    """A record that does not say inputs is matched by names and operators alone."""
    record = two_layers_record()
    ops = tuple(msgspec.structs.replace(op, inputs=()) for op in record.ops)
    record = msgspec.structs.replace(record, digest="other", ops=ops)
    actual = modules(match_record(two_layers(), record, "f"))
    assert {k: actual[k] for k, v in truth().items() if v} == {
        k: v for k, v in truth().items() if v
    }


def test_names_are_given_once() -> None:
    """Two nodes with one name: only one of them takes the recorded op by it.

    The other reads what that one reads, and does the same with it: structure tells its module.
    """
    model = two_layers()
    extra = onnx.helper.make_node("Relu", ["a1"], ["unused"], name="relu1")
    model.graph.node.append(extra)
    last = match_record(model, two_layers_record(), "f").decisions[-1]
    assert (last.module, last.evidence) == (truth()["relu1"], EvidenceKind.STRUCTURE)
    means = MatchSources(evidence=frozenset({EvidenceKind.NAMES}))
    last = match_record(model, two_layers_record(), "f", means).decisions[-1]
    assert last.module is None
    assert "another node has taken" in (last.reason or "")


TORCH_KEYS = (
    ("", "Net"),
    ("layer.0", "Block"),
    ("layer.0.fc", "torch.nn.modules.linear.Linear"),
)


def with_torch_keys(prefix: str = "") -> onnx.ModelProto:
    model = two_layers()
    for node, scope in zip(model.graph.node, TWO_LAYERS_SCOPES, strict=True):
        if scope is None:
            continue
        names = scope.split(".")
        paths = ["", *[prefix] * bool(prefix)]
        paths += [prefix + "." * bool(prefix) + ".".join(names[:n]) for n in range(2, 4)][
            : len(names) - 1
        ]
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr([*paths, node.name]))
        classes = ["pkg.Net", *["pkg.Inner"] * bool(prefix), "pkg.Block", "pkg.Linear"]
        node.metadata_props.add(
            key="pkg.torch.onnx.class_hierarchy", value=repr([*classes[: len(paths)], "aten"])
        )
    return model


@pytest.mark.parametrize(("prefix", "root"), [("", "Net"), ("wrapped", "Inner")])
def test_torch_keys_are_read_without_a_record(prefix: str, root: str) -> None:
    """The metadata of torch tells modules and classes; a wrapper that weights do not know goes."""
    match, carried = match_carried(with_torch_keys(prefix), "f")
    actual = modules(match)
    assert {k: actual[k] for k, v in truth().items() if v} == {
        k: v for k, v in truth().items() if v
    }
    assert match.tree.root.class_name == root
    assert match.tree["layer.0.fc"].class_name == "Linear"
    assert carried.scheme == "torch's metadata"


def test_scoped_names_are_read_without_a_record() -> None:
    """Names by torch's scheme tell modules; a called container's doubling is undone."""
    model = two_layers()
    names = {"proj0": "/layer/layer.0/fc/MatMul", "relu1": "/layer/layer.1/Relu_1", "plus1": "/x/y"}
    for node in model.graph.node:
        node.name = names.get(node.name, "")
    match, _ = match_carried(model, "f")
    actual = modules(match)
    assert actual[names["proj0"]] == "layer.0.fc"
    assert actual[names["relu1"]] == "layer.1"


def test_attributes_of_older_tools_are_read() -> None:
    """A tag attribute is a tag."""
    model = two_layers()
    attribute = onnx.helper.make_attribute("hierarchy_tag", "/Net/layer.0/fc")
    model.graph.node[1].attribute.append(attribute)
    match, carried = match_carried(model, "f")
    assert carried.scheme == "tag attributes"
    assert match.decisions[1].module == "layer.0.fc"


def test_a_file_that_carries_nothing_needs_a_record() -> None:
    """Without anything to go by, the command asks for the record."""
    with pytest.raises(UsageError, match="--record"):
        match_carried(number_weights(two_layers()), "f")


def test_large_graphs_are_settled_whole() -> None:
    """A chain of many nodes matches by identity and by names, all settled."""
    count = 20_000
    nodes = [
        onnx.helper.make_node("Relu", [f"v{n}"], [f"v{n + 1}"], name=f"r{n}") for n in range(count)
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [value("v0", 1, [1])], [value(f"v{count}", 1, [1])])
    model = onnx.helper.make_model(graph)
    record = record_of(model, {"": "Net", "a": "Act"}, ["a"] * count)
    assert match_record(model, record, "f").counts() == {"identity": count}
    other = msgspec.structs.replace(record, digest="other")
    assert match_record(model, other, "f").counts() == {"names": count}


def test_ops_may_lack_a_module_in_the_record() -> None:
    """An op of unknown scope takes its neighbours' module, whatever it computes."""
    model = two_layers()
    record = two_layers_record()
    unknown: list[Op] = [
        msgspec.structs.replace(op, module=None) if op.name == "relu0" else op for op in record.ops
    ]
    match = match_record(model, msgspec.structs.replace(record, ops=tuple(unknown)), "f")
    assert modules(match)["relu0"] == "layer.0"
    assert TWO_LAYERS.count("relu0") == 1
