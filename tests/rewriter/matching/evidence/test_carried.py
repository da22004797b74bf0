"""What a file says about its own hierarchy, by the first scheme that it uses."""

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried import read_carried_hierarchy, refuse_lossy
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    ATTRIBUTES,
    OURS,
    SCOPED_NAMES,
    TORCH,
    TREE_NAMES,
    WEIGHT_NAMES,
    CarriedHierarchy,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.tree_names import TAGS_ARE_LOST
from tests.helpers.annotated import MODULES, with_entries, with_tree
from tests.helpers.handmade import two_layers


def read(model: onnx.ModelProto) -> CarriedHierarchy | None:
    return read_carried_hierarchy(model, ModelGraph(model), "f.onnx")


def carried(model: onnx.ModelProto) -> CarriedHierarchy:
    actual = read(model)
    assert actual is not None
    return actual


def modules(actual: CarriedHierarchy) -> dict[int, str]:
    return {key.position: claim.module for key, claim in actual.claims.by_node.items()}


def tags(*texts: str, **more: str) -> list[dict[str, str]]:
    return [{keys.TAG: text, **more} for text in texts]


def test_a_file_without_any_carries_nothing() -> None:
    """A module tree alone tells no node's module."""
    assert read(with_entries()) is None
    assert read(with_tree()) is None


def test_tags_are_looked_up_in_the_module_tree() -> None:
    """One that is not in it is a reason."""
    actual = carried(with_tree(tags("/Net/a/b", "/Net/c", "/Net"), parameters={"w": "a.w"}))
    assert (actual.scheme, actual.modules, actual.rules) == (OURS, MODULES, TagRules())
    assert actual.parameters == {"w": "a.w"}
    assert modules(actual) == {0: "a.b", 2: ""}
    why = "its tag /Net/c is not in the module tree that the file carries"
    assert actual.claims.reasons == {NodeKey("", 1): why}


def test_tags_are_read_by_the_rules_by_which_they_were_written() -> None:
    """Class names stand for paths, cut tags for the first module that has them."""
    actual = carried(with_tree(tags("/Net/Part/Part", "/Net"), tag_style="class"))
    assert actual.rules == TagRules(TagStyle.CLASS)
    assert modules(actual) == {0: "a.b", 1: ""}
    cut = carried(with_tree(tags("/Net/a", "/Net/a/b"), depth=1))
    assert modules(cut) == {0: "a"}


def test_tags_without_a_module_tree_are_paths() -> None:
    """An older file has no tree: it is made of the tags."""
    actual = carried(with_entries(tags("/Net/a/b", "/Net")))
    assert modules(actual) == {0: "a.b", 1: ""}
    assert [module.path for module in actual.modules] == ["", "a", "a.b"]
    assert actual.rules == TagRules()


def test_a_claim_has_the_evidence_the_call_and_the_covers_of_the_entry() -> None:
    """What is missing or damaged is left out; the tag is still good."""
    covers = msgspec.json.encode(["/Net/a", "/Net/x", "/Net/a/b"]).decode()
    entries = tags("/Net/a", **{keys.EVIDENCE: "values", keys.COVERS: covers, keys.CALL: "12"})
    entries += tags("/Net/a", **{keys.COVERS: "[", keys.CALL: "-1"})
    entries += tags("/Net/a", **{keys.COVERS: '{"a": 1}', keys.CALL: "x"})
    plain = Claim("a", "carried")
    expected = [Claim("a", "values", ("a", "a.b"), 12), plain, plain]
    assert list(carried(with_tree(entries)).claims.by_node.values()) == expected
    without_tree = carried(with_entries(entries[:1])).claims.by_node
    assert list(without_tree.values()) == [Claim("a", "values", ("a", "x", "a.b"), 12)]
    no_list = carried(with_entries(tags("/Net/a", **{keys.COVERS: '{"/Net/a": 1}'})))
    assert list(no_list.claims.by_node.values()) == [plain]


def with_attributes(model: onnx.ModelProto, *texts: str) -> onnx.ModelProto:
    for node, text in zip(model.graph.node, texts, strict=False):
        node.attribute.append(helper.make_attribute(keys.TAG_ATTRIBUTE, text))
    return model


def test_attributes_of_ours_are_looked_up_in_the_module_tree() -> None:
    """They are tags by the file's rules; one that is not in the tree says nothing."""
    model = with_tree(tag_style="class", parameters={"w": "a.w"})
    actual = carried(with_attributes(model, "/Net/Part", "/Net/Other"))
    assert (actual.scheme, actual.modules) == (ATTRIBUTES, MODULES)
    assert actual.rules == TagRules(TagStyle.CLASS)
    assert actual.parameters == {"w": "a.w"}
    assert list(actual.claims.by_node.values()) == [Claim("a", "carried")]


def named(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    for node, name in zip(model.graph.node, names, strict=False):
        node.name = name
    return model


def test_names_of_ours_are_paths_whatever_the_style_of_tags() -> None:
    """Only names that annotating gave count, and only paths of the tree."""
    given = {"/a/b/Relu": "one", "/c/Tanh": "two", "/a/Other": None}
    rules = {"tag_style": "class", "torch_nn": "roll-up", "depth": 3}
    model = with_tree(names=given, parameters={"w": "a.w"}, **rules)
    actual = carried(named(model, "/a/b/Relu", "/c/Tanh", "/a/Exp"))
    assert actual.scheme == SCOPED_NAMES
    assert actual.rules == TagRules(TagStyle.PATH, TorchNN.ROLL_UP, 3)
    assert actual.claims.by_node == {NodeKey("", 0): Claim("a.b", "carried")}
    assert (actual.modules, actual.parameters) == (MODULES, {"w": "a.w"})


def test_torchs_metadata_tells_more_than_the_module_tree_alone() -> None:
    """Where our tags are lost and torch's scopes are not."""
    model = with_tree()
    model.graph.node[1].metadata_props.add(key=keys.TORCH_NAME_SCOPES, value="['', 'a', 'relu']")
    assert carried(model).scheme == TORCH


def test_a_tree_without_tags_is_read_with_names_of_weights() -> None:
    """A note says that the tags are lost; a node that no name tells has its reason."""
    model = with_tree(tag_style="class", parameters={"v": "a.b.w"})
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "v"))
    model.graph.node[1].input.append("v")
    actual = carried(model)
    assert (actual.scheme, actual.modules) == (TREE_NAMES, MODULES)
    assert (actual.rules, actual.parameters) == (TagRules(TagStyle.CLASS), {"v": "a.b.w"})
    assert actual.claims.by_node == {NodeKey("", 1): Claim("a.b", "carried")}
    assert actual.notes == (TAGS_ARE_LOST,)


def test_relative_tags_are_those_of_their_call() -> None:
    """The weights of a node that was taken out of a function tell the call."""
    relative = tags("b", "c")
    relative[0][keys.COVERS] = '["/Net/a", "/Net/unknown"]'
    model = with_tree([*relative, *tags("/Net")], parameters={"v": "a.b.w"})
    model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "v"))
    model.graph.node[0].input.append("v")
    actual = carried(model)
    assert modules(actual) == {0: "a.b", 2: ""}
    assert actual.claims.by_node[NodeKey(MAIN, 0)].covers == ("a",)
    [reason] = actual.claims.reasons.values()
    assert reason.startswith("its tag c is that of a node in a function")
    for node in model.graph.node[1:]:
        del node.metadata_props[:]
    assert modules(carried(model)) == {0: "a.b"}


def test_the_tagger_of_an_equal_tree_is_used_again() -> None:
    """Most of its tags are written already; with other rules it would write other ones."""
    model, shorter = with_tree(tags("/Net/a")), with_tree(tags("/Net/a"), depth=1)
    first = carried(model).tagger
    for file, is_used in ((model, True), (shorter, False)):
        again = read_carried_hierarchy(file, ModelGraph(file), "f.onnx", first)
        assert again is not None
        assert (again.tagger is first) is is_used


def test_escaped_names_of_ours_are_unescaped() -> None:
    """A slash in a module's name is written with a percent sign."""
    model = with_tree(names={"/a%2eb/Relu": None})
    assert modules(carried(named(model, "/a%2eb/Relu"))) == {0: "a.b"}


def test_the_strongest_scheme_is_read() -> None:
    """Our metadata, injected attributes or names, torch's, others' attributes, names, weights."""
    model = two_layers()
    schemes = [carried(model).scheme]
    model.graph.node[1].name = "/layer.0/fc/MatMul"
    schemes.append(carried(model).scheme)
    legacy = helper.make_attribute(keys.LEGACY_TAG_ATTRIBUTE, "/Net/a")
    model.graph.node[2].attribute.append(legacy)
    schemes.append(carried(model).scheme)
    model.graph.node[3].metadata_props.add(key=keys.TORCH_NAME_SCOPES, value="['', 'a', 'relu']")
    schemes.append(carried(model).scheme)
    tree = with_tree().metadata_props[0]
    model.metadata_props.add(key=tree.key, value=tree.value)
    schemes.append(carried(model).scheme)
    model.graph.node[4].metadata_props.add(key=keys.TAG, value="/Net/a")
    schemes.append(carried(model).scheme)
    assert schemes == [WEIGHT_NAMES, SCOPED_NAMES, ATTRIBUTES, TORCH, ATTRIBUTES, OURS]


@pytest.mark.parametrize("entries", [[], tags("/Net")])
def test_a_damaged_module_tree_is_refused(entries: list[dict[str, str]]) -> None:
    """Whether or not nodes have tags."""
    with pytest.raises(FileProblem, match=r"^f\.onnx: its module tree cannot be read"):
        read(with_entries(entries, {keys.MODULES: "?"}))


def with_extra(key: str) -> onnx.ModelProto:
    """A file without tags, with the module tree and another entry that is damaged."""
    model = with_tree()
    model.metadata_props.add(key=key, value="?")
    return model


def test_damaged_entries_of_the_model_are_refused() -> None:
    """Rules that nobody knows, names and parameters that are none."""
    for model in (
        with_tree(tags("/Net"), tag_style="new"),
        with_tree(tag_style="new"),
        with_entries(tags("/Net"), {keys.PARAMETERS: "?"}),
        with_extra(keys.PARAMETERS),
        with_extra(keys.NAMES),
    ):
        with pytest.raises(FileProblem, match=r"^f\.onnx: its"):
            read(model)


LOSSY = TagRules(TagStyle.CLASS, TorchNN.ROLL_UP, 2)


def carried_with(rules: TagRules) -> CarriedHierarchy:
    """A hierarchy without modules, whose tags were written by some rules."""
    return CarriedHierarchy(OURS, Tagger(ModuleTree(()), rules), Claims())


@pytest.mark.parametrize(
    ("had", "asked"), [(TagRules(), LOSSY), (TagRules(), TagRules()), (LOSSY, LOSSY)]
)
def test_tags_that_lost_nothing_are_rewritten(had: TagRules, asked: TagRules) -> None:
    """Whole ones by any rules, others by their own."""
    assert refuse_lossy(carried_with(had), asked, "f.onnx") is None


@pytest.mark.parametrize(
    ("had", "options"),
    [
        (LOSSY, "--tag-style class --torch-nn roll-up --depth 2"),
        (TagRules(TagStyle.CLASS), "--tag-style class --torch-nn keep"),
    ],
)
def test_tags_that_lost_something_are_not_rewritten(had: TagRules, options: str) -> None:
    """The message has the options to repeat."""
    with pytest.raises(UsageError) as caught:
        refuse_lossy(carried_with(had), TagRules(), "f.onnx")
    assert str(caught.value) == (
        f"f.onnx: its tags were written with {options}: repeat these options, or give the record "
        "with --record."
    )


def test_source_lines_of_nodes_are_carried() -> None:
    """Nodes without any have none."""
    entries = tags("/Net/a", "/Net/b")
    entries[1][keys.SOURCE] = '["net.py:12"]'
    actual = carried(with_entries(entries))
    assert {key.position: lines for key, lines in actual.source_lines.items()} == {
        1: ("net.py:12",)
    }
