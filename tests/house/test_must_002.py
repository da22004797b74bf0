"""MUST-002: `--torch-nn` judges a module by where its class is defined, not by its name."""

import pytest
import torch
from torch import nn

from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.choices import TorchNN
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules


def tree_of(model: nn.Module) -> ModuleTree:
    return ModuleTree(
        Module(path, type(module).__name__, type(module).__module__)
        for path, module in model.named_modules()
    )


def nearest_of_others(model: nn.Module, path: str) -> str:
    """The module itself or the nearest around it whose class torch does not define."""
    named = dict(model.named_modules())
    while path and type(named[path]).__module__.split(".")[0] == torch.__name__:
        path = path.rpartition(".")[0]
    return path


@pytest.mark.parametrize("name", FIXTURES)
def test_roll_up_gives_nodes_to_the_nearest_other_module(name: str) -> None:
    """Every module of every fixture is rolled up to the nearest one that is not torch's."""
    model, _ = FIXTURES[name].build()
    tagger = Tagger(tree_of(model), TagRules(torch_nn=TorchNN.ROLL_UP))
    paths = [path for path, _ in model.named_modules()]
    assert paths
    assert {p: tagger.resolve(p) for p in paths} == {p: nearest_of_others(model, p) for p in paths}


@pytest.mark.parametrize("name", FIXTURES)
def test_keep_keeps_every_module(name: str) -> None:
    """By default a tag stands for the very module."""
    model, _ = FIXTURES[name].build()
    tagger = Tagger(tree_of(model))
    paths = [path for path, _ in model.named_modules()]
    assert paths
    assert [tagger.resolve(path) for path in paths] == paths


class Linear(nn.Linear):
    """Torch's class by name and by base, but not torch's."""


class Holder(nn.Module):
    """One of each."""

    def __init__(self) -> None:
        super().__init__()
        self.ours = Linear(2, 2)
        self.theirs = nn.Linear(2, 2)


def test_names_and_bases_do_not_count() -> None:
    """A class called like torch's, or derived from it, is kept; torch's own is rolled up."""
    tagger = Tagger(tree_of(Holder()), TagRules(torch_nn=TorchNN.ROLL_UP))
    assert type(Holder().ours).__name__ == type(Holder().theirs).__name__
    assert {p: tagger.resolve(p) for p in ("ours", "theirs")} == {"ours": "ours", "theirs": ""}
