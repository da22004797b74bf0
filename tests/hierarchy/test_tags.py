"""Tags of module paths, in whatever order they are written."""

import numpy as np
import pytest

from modelexport.hierarchy.choices import TorchNN
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules

NAMES = ("a", "0", "12", "b c", "x/y", "é", "²", "0a", "%")
RULES = (TagRules(), TagRules(torch_nn=TorchNN.ROLL_UP), TagRules(depth=2))


@pytest.mark.parametrize("rules", RULES, ids=str)
@pytest.mark.parametrize("seed", range(20))
def test_a_tag_does_not_depend_on_the_tags_before_it(rules: TagRules, seed: int) -> None:
    """It is made of the tag above it, where that was written already."""
    random = np.random.default_rng(seed)
    paths = {".".join(random.choice(NAMES, random.integers(1, 6))) for _ in range(40)}
    paths |= {path.rpartition(".")[0] for path in paths}
    modules = [
        Module(path, "Part", python_module=str(random.choice(["torch.nn", "net"])))
        for path in sorted(paths - {""})
    ]
    tree = ModuleTree([Module("", "Net", python_module="net"), *modules])
    tagger = Tagger(tree, rules)
    order = random.permutation(sorted(paths)).tolist()
    assert order
    for path in order:
        assert tagger.tag(path) == Tagger(tree, rules).tag(path)


def test_taggers_are_alike_where_modules_and_rules_are_equal() -> None:
    """Also the order of modules counts: of modules with one tag, the first has it."""
    first, second = Module("a", "Part"), Module("b", "Part")
    trees = [
        ModuleTree([Module("", "Net"), *parts]) for parts in ((first, second), (second, first))
    ]
    assert Tagger(trees[0]).is_like(Tagger(ModuleTree(trees[0])))
    assert not Tagger(trees[0]).is_like(Tagger(trees[1]))
    assert not Tagger(trees[0]).is_like(Tagger(trees[0], TagRules(depth=1)))
