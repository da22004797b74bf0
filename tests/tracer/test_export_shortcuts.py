"""Shortcuts through the dynamo exporter: the same files, with less work."""

from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import pytest
import torch
from onnxscript.rewriter import pattern
from torch import nn
from torch.onnx._internal.exporter import _registration
from torch.onnx._internal.exporter._registration import ONNXRegistry

from modelexport.tracer import trace
from modelexport.tracer.exporters import dynamo
from modelexport.tracer.exporters.registry_shortcut import translations_collected_once
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


def test_the_files_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, inputs = Stack(3).eval(), (torch.randn(2, 4),)
    results = []
    for name in ("quick", "plain"):
        (tmp_path / name).mkdir()
        trace(model, inputs, tmp_path / name / "net.onnx", exporter="dynamo")
        results.append(files_of(tmp_path / name))
        for shortcut in (nodes_checked_first, translations_collected_once):
            monkeypatch.setattr(dynamo, shortcut.__name__, nullcontext)
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


def _names(registry: ONNXRegistry) -> dict[object, list[str]]:
    """The translations of each operator, by their names."""
    return {
        operator: [str(choice.onnx_function.__name__) for choice in choices]
        for operator, choices in registry.functions.items()
    }


def test_translations_are_collected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch is asked once; what one export adds or removes, the next one does not see."""
    plain = ONNXRegistry().from_torchlib(opset_version=18)
    collect, collected = ONNXRegistry.from_torchlib, []

    def counted(**options: int) -> ONNXRegistry:
        collected.append(options)
        return collect(**options)

    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(counted))
    for _ in range(2):
        with translations_collected_once():
            registry = ONNXRegistry().from_torchlib(opset_version=18)
        assert registry.opset_version == plain.opset_version
        assert _names(registry) == _names(plain)
        registry.register_op(torch.ops.aten.relu.default, lambda x: x)
        assert _names(registry) != _names(plain)
    assert collected == [{"opset_version": 18}]
    with translations_collected_once():
        assert ONNXRegistry().from_torchlib(opset_version=19).opset_version == 19
    assert ONNXRegistry.from_torchlib is counted


def test_a_registry_without_what_is_needed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ONNXRegistry, "from_torchlib")
    with translations_collected_once():
        assert not hasattr(ONNXRegistry, "from_torchlib")
    monkeypatch.delattr(_registration, "ONNXRegistry")
    with translations_collected_once():
        assert not hasattr(_registration, "ONNXRegistry")
