"""Entries of the model that annotating wrote."""

from collections.abc import Callable

import onnx
import pytest

from modelexport.errors import FileProblem, OnnxFileError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import TagStyle, TorchNN
from modelexport.hierarchy.module_tree import EmbeddedTree, Module, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.matching.evidence.embedded import (
    embedded_names,
    embedded_parameters,
    embedded_rules,
    embedded_tree,
)
from tests.helpers.annotated import MODULES, with_entries, with_tree


def test_the_module_tree_is_read_back() -> None:
    """None where there is none."""
    actual = embedded_tree(with_tree(tag_style="class", torch_nn="roll-up", depth=2), "f")
    assert actual == EmbeddedTree(MODULES, "class", "roll-up", 2)
    assert embedded_tree(with_entries(), "f") is None


def test_a_damaged_module_tree_names_the_file() -> None:
    """It is no tree at all, or lacks what a tree needs."""
    with pytest.raises(FileProblem, match=r"^f\.onnx: its module tree cannot be read"):
        embedded_tree(with_entries(model={keys.MODULES: "{"}), "f.onnx")


def test_the_rules_of_the_tags_are_known() -> None:
    """An unknown one is of a newer version."""
    embedded = EmbeddedTree(MODULES, "class", "roll-up", 2)
    assert embedded_rules(embedded, "f") == TagRules(TagStyle.CLASS, TorchNN.ROLL_UP, 2)
    with pytest.raises(OnnxFileError, match=r"^f\.onnx: its tags are of an unknown kind .*'new'"):
        embedded_rules(EmbeddedTree(MODULES, "new"), "f.onnx")


def test_parameters_and_earlier_names_are_read_back() -> None:
    """Empty where there are none; a node may have had no name."""
    model = with_tree(names={"/a/Relu": "one", "/Exp": None}, parameters={"w1": "a.w"})
    assert embedded_names(model, "f") == {"/a/Relu": "one", "/Exp": None}
    assert embedded_parameters(model, "f") == {"w1": "a.w"}
    assert embedded_names(with_entries(), "f") == embedded_parameters(with_entries(), "f") == {}


@pytest.mark.parametrize(
    ("read", "key", "what"),
    [
        (embedded_names, keys.NAMES, "earlier node names"),
        (embedded_parameters, keys.PARAMETERS, "parameter names"),
    ],
)
@pytest.mark.parametrize("text", ["[", '{"a": 1}'])
def test_damaged_entries_name_the_file(
    read: Callable[[onnx.ModelProto, str], object], key: str, what: str, text: str
) -> None:
    """No JSON, or JSON of another shape."""
    with pytest.raises(OnnxFileError, match=rf"^f\.onnx: its {what} cannot be read \(.+\)\.$"):
        read(with_entries(model={key: text}), "f.onnx")


def test_each_tag_leads_to_the_first_module_that_has_it() -> None:
    """Cut tags are shared, and aliases have the path of what they stand for."""
    tree = ModuleTree([*MODULES, Module("c", "Part", alias_of="a")])
    assert Tagger(tree).paths == {"/Net": "", "/Net/a": "a", "/Net/a/b": "a.b"}
    assert Tagger(tree, TagRules(depth=1)).paths == {"/Net": "", "/Net/a": "a"}
