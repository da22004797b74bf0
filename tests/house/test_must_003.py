"""MUST-003: one code path for every model; a model nobody has seen works like any other."""

import random
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter import annotate
from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS


def unseen(seed: int) -> tuple[nn.Module, torch.Tensor]:
    """A model with made-up class and attribute names, in a made-up shape."""
    chance = random.Random(seed)  # noqa: S311 - names, not secrets
    torch.manual_seed(seed)

    def word() -> str:
        return "".join(chance.choices("bcdfghjklmnpqrstvwxz", k=9))

    def build(depth: int) -> nn.Module:
        children = {
            word(): build(depth - 1) if depth and chance.random() < 0.6 else nn.Linear(6, 6)
            for _ in range(chance.randint(2, 3))
        }

        def make(self: nn.Module) -> None:
            nn.Module.__init__(self)
            for name, child in children.items():
                self.add_module(name, child)

        def forward(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
            for child in self.children():
                x = torch.tanh(child(x)) + x
            return x

        made = type(word().title(), (nn.Module,), {"__init__": make, "forward": forward})
        return made()  # type: ignore[no-any-return]

    return build(3).eval(), torch.randn(3, 6)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("seed", range(3))
def test_models_nobody_has_seen(seed: int, exporter: str, tmp_path: Path) -> None:
    """Each Linear of a random tree gets the one node with its weight, under its own tag."""
    model, inputs = unseen(seed)
    plain, annotated = tmp_path / "m.onnx", tmp_path / "a.onnx"
    traced = trace(model, inputs, plain, exporter=exporter)
    report = annotate(plain, traced.record, annotated)
    assert report.unresolved == 0
    tagger = Tagger(traced.record.tree)
    parameters = {t.name: t.parameter for t in traced.record.tensors if t.parameter}
    owner_and_tag = {
        (parameters[name].rpartition(".")[0], entry.value)
        for _, node in walk_nodes(onnx.load(annotated))
        for entry in node.metadata_props
        for name in node.input
        if entry.key == keys.TAG and name in parameters
    }
    linear = {p for p, m in model.named_modules() if isinstance(m, nn.Linear)}
    assert linear
    assert owner_and_tag == {(path, tagger.tag(path)) for path in linear}
