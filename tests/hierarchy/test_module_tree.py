"""The module tree as annotated files carry it."""

from modelexport.hierarchy.module_tree import EmbeddedTree, Module
from modelexport.hierarchy.tags import TagRules


def test_the_rules_of_the_tags_are_always_written() -> None:
    """A file says in which style its tags are, also when that is the default one."""
    rules = TagRules()
    tree = EmbeddedTree((Module("", "Net"),), rules.style, rules.torch_nn, rules.depth)
    assert tree.to_json() == (
        '{"modules":[{"path":"","class_name":"Net"}],"tag_style":"path","torch_nn":"keep"}'
    )
    assert EmbeddedTree.from_json(tree.to_json(), "m.onnx") == tree
