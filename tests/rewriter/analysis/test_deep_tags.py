"""Deep tags: modules thousands of steps deep are analyzed, shown and compared."""

from pathlib import Path

import pytest

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import AnalysisFormat, TagStyle, TorchNN
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules, path_steps
from modelexport.rewriter import analyze, compare
from tests.helpers.annotated import CHAIN, with_entries
from tests.helpers.commands import Run
from tests.helpers.handmade import parse

STEPS = 1_200
"""More than Python's limit of nested calls."""


@pytest.fixture(params=[f"{'/m' * STEPS}", f"/m{'.0' * STEPS}"], ids=["names", "numbers"])
def deep(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file with nodes in a module that is many steps deep, and the tag of the module."""
    tag = f"/Net{request.param}"
    nodes = [{keys.TAG: tag}] * len(parse(CHAIN).graph.node)
    path = tmp_path / "deep.onnx"
    path.write_bytes(with_entries(nodes).SerializeToString())
    return path, tag


def test_every_module_on_the_way_has_the_nodes(deep: tuple[Path, str]) -> None:
    """The nodes count in the module and in each of those around it."""
    path, tag = deep
    count = len(parse(CHAIN).graph.node)
    rows = analyze(path).modules
    assert {row.nodes for row in rows} == {count}
    assert rows[-1].tag == tag
    assert len(rows) > STEPS
    assert compare(path, path).same


@pytest.mark.parametrize("kind", AnalysisFormat)
def test_every_format_shows_them(deep: tuple[Path, str], run: Run, kind: str) -> None:
    """No format ends in an error."""
    result = run("analyze", deep[0], "--output-format", kind)
    assert (result.code, result.err) == (0, "")


def written_step_by_step(tree: ModuleTree, path: str) -> str:
    """A tag by class, as it is defined: the class of each module on the way, with its numbers."""
    steps = path_steps(path)
    tag = f"/{tree.root.class_name}"
    for number, step in enumerate(steps, 1):
        numbers = step.split(".")[1:]
        prefix = ".".join(steps[:number])
        tag += "/" + ".".join([tree[prefix].class_name, *numbers])
    return tag


def test_tags_by_class_are_written_from_the_one_above() -> None:
    """A tag is the same whether those above it were written before or not."""
    paths = ["", "a", "a.0", "a.0.b", "a.0.b.1", "a.0.b.1.2", "a.0.b.1.2.c"]
    tree = ModuleTree(Module(path, f"C{number}") for number, path in enumerate(paths))
    for order in (paths, paths[::-1]):
        tagger = Tagger(tree, TagRules(TagStyle.CLASS))
        tags = {path: tagger.tag(path) for path in order}
        assert tags == {path: written_step_by_step(tree, path) for path in paths}


def test_modules_of_torch_are_rolled_up_to_the_nearest_other_one() -> None:
    """So it is in whatever order they are asked for."""
    own, torch = {"python_module": "own"}, {"python_module": "torch.nn"}
    modules = {"": own, "a": own, "a.b": torch, "a.b.c": torch, "a.b.c.d": own, "e": torch}
    expected = {"": "", "a": "a", "a.b": "a", "a.b.c": "a", "a.b.c.d": "a.b.c.d", "e": ""}
    tree = ModuleTree(Module(path, "C", **more) for path, more in modules.items())
    for order in (list(modules), list(modules)[::-1]):
        tagger = Tagger(tree, TagRules(torch_nn=TorchNN.ROLL_UP))
        assert {path: tagger.resolve(path) for path in order} == expected
