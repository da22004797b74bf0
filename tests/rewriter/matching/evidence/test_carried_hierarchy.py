"""Module trees made of tags and of paths."""

import pytest
from onnx import helper

from modelexport.hierarchy.module_tree import Module
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    metadata_of,
    path_of_tag,
    tree_of_paths,
    tree_of_tags,
)


@pytest.mark.parametrize(
    ("tag", "path"),
    [
        ("/Net", ""),
        ("/Net/a", "a"),
        ("/Net/layer.0/fc", "layer.0.fc"),
        ("/Net.3/fc", "3.fc"),
        ("Net/a", "a"),
        ("/Net/a%2Fb", "a/b"),
    ],
)
def test_a_tag_is_a_path_below_the_root(tag: str, path: str) -> None:
    """Its first step is the root's class, with the number of a child of the root."""
    assert path_of_tag(tag) == path


def test_a_tree_of_tags_has_all_modules_above_them() -> None:
    """The root's class is in each tag."""
    assert tuple(tree_of_tags(["/My%20Net/b.0/c", "/My%20Net/a"])) == (
        Module("", "My Net"),
        Module("b", ""),
        Module("b.0", ""),
        Module("b.0.c", ""),
        Module("a", ""),
    )
    assert tuple(tree_of_tags(iter(["/Net.0"]))) == (Module("", "Net"), Module("0", ""))
    assert tuple(tree_of_tags(["/.0"])) == (Module("", "model"), Module("0", ""))


def test_a_tree_of_paths_knows_classes_by_their_qualified_names() -> None:
    """What stands before the last dot is the Python module."""
    classes = {"": "pkg.net.Net", "a": "pkg.Part", "b": "Bare"}
    assert tuple(tree_of_paths(["b", "a.x", "a"], classes, "unused")) == (
        Module("", "Net", "pkg.net"),
        Module("b", "Bare"),
        Module("a", "Part", "pkg"),
        Module("a.x", ""),
    )


@pytest.mark.parametrize(
    ("root", "name"), [("main", "main"), ("my.graph", "my_graph"), ("a/b", "a%2Fb"), ("", "model")]
)
def test_a_root_of_unknown_class_has_the_graphs_name(root: str, name: str) -> None:
    """In a form that a tag can hold."""
    assert tuple(tree_of_paths([], {}, root)) == (Module("", name),)
    assert tuple(tree_of_paths([""], {"": ""}, root)) == (Module("", name),)


def test_metadata_is_read_as_a_mapping() -> None:
    """Of a node or of a model."""
    node = helper.make_node("Relu", ["x"], ["y"])
    node.metadata_props.add(key="a", value="1")
    node.metadata_props.add(key="b", value="2")
    assert metadata_of(node) == {"a": "1", "b": "2"}
