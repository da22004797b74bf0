"""The way through onnxscript's rewriter: the same result, without a look at the whole graph."""

from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
import torch
from onnxscript.rewriter import pattern
from torch import nn

from modelexport.tracer import trace
from modelexport.tracer.exporters import dynamo
from modelexport.tracer.exporters.rewrite_shortcut import nodes_checked_first


class Stack(nn.Module):
    """Layers that are slow for the rewriter: each has many products and sums."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU()) for _ in range(depth))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x * torch.sin(x) + layer(x)
        return x


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, inputs = Stack(3).eval(), (torch.randn(2, 4),)
    results = []
    for name, patched in (("quick", nodes_checked_first), ("plain", nullcontext)):
        (tmp_path / name).mkdir()
        with mock.patch.object(dynamo, "nodes_checked_first", patched):
            trace(model, inputs, tmp_path / name / "net.onnx", exporter="dynamo")
        results.append(files_of(tmp_path / name))
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_the_graph_is_not_listed_for_each_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often a rule with several outputs looks at the whole graph, with and without."""
    listings = 0
    match = pattern.SimplePatternMatcher.match

    def counted(matcher: pattern.SimplePatternMatcher, *args: object, **options: object) -> object:
        nonlocal listings
        listings += not matcher.pattern.has_single_output_node
        return match(matcher, *args, **options)

    monkeypatch.setattr(pattern.SimplePatternMatcher, "match", counted)
    counts = []
    for way in (nodes_checked_first, nullcontext):
        listings = 0
        with mock.patch.object(dynamo, "nodes_checked_first", way):
            inputs = (torch.randn(2, 4),)
            trace(Stack(3).eval(), inputs, tmp_path / f"{way.__name__}.onnx", exporter="dynamo")
        counts.append(listings)
    quick, plain = counts
    assert 10 * quick < plain


def test_a_version_without_what_it_needs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pattern.SimplePatternMatcher, "_init_match")
    before = pattern.SimplePatternMatcher.match
    with nodes_checked_first():
        assert pattern.SimplePatternMatcher.match is before


def test_the_rewriter_is_put_back() -> None:
    before = pattern.SimplePatternMatcher.match
    with nodes_checked_first():
        assert pattern.SimplePatternMatcher.match is not before
    assert pattern.SimplePatternMatcher.match is before
