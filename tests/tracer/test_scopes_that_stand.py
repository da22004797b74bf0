"""Where an exporter is right, an eager run overrules nothing, whatever values look like."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.tracer import trace
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.records.scope_inference import NodeSightings, inferred_scope
from modelexport.tracer.records.value_sightings import NodeValues, Sighting
from tests.helpers.traced import TracedModels, every_case

WIDTH = 8


@every_case
def test_nothing_is_overruled_in_models_that_are_as_they_were_written(
    traced: TracedModels, name: str, exporter: str
) -> None:
    """Equal values, views and small values overrule no exporter."""
    ops = traced(name, exporter).record.ops
    assert ops
    assert [op for op in ops if op.overruled is not None] == []


class Copies(nn.Module):
    """Gives back what it gets, in several ways that compute nothing new."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * 1.0).clone().reshape(x.shape[::-1]).t() + 0.0


class Repeats(nn.Module):
    """Computes what its sibling computes, too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.inner(x)) * 2


class Alike(nn.Module):
    """The same values in several modules, computed and passed on."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.copies = Repeats(), Repeats(), Copies()
        self.right.load_state_dict(self.left.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both = self.left(x) + self.copies(self.right(self.copies(x)))
        return both + torch.tanh(self.left.inner(x)) * 2


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_equal_values_in_several_modules_overrule_nothing(exporter: str, tmp_path: Path) -> None:
    """The exporter knows, and values cannot."""
    model, x = Alike().eval(), torch.randn(4, WIDTH)
    result = trace(model, x, tmp_path / "m.onnx", exporter=exporter).record
    modules = {op.module for op in result.ops}
    assert {"left", "right", "left.inner", "right.inner", ""} <= modules
    assert [op for op in result.ops if op.overruled is not None] == []


class Normalised(nn.Module):
    """A normalisation whose statistics change next to nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_normalisation_that_changes_next_to_nothing_overrules_nothing(
    exporter: str, tmp_path: Path
) -> None:
    """A folded convolution computes what two modules compute."""
    model, x = Normalised().eval(), torch.randn(1, 3, 8, 8)
    result = trace(model, x, tmp_path / "m.onnx", exporter=exporter).record
    convolutions = [op for op in result.ops if op.op_type == "Conv"]
    assert convolutions
    assert [op for op in result.ops if op.overruled is not None] == []
    assert {op.module for op in convolutions} <= {"conv", "norm"}


@pytest.mark.parametrize("module", [None, "pool"])
def test_a_value_that_a_module_passes_on_does_not_belong_to_who_computed_it(
    module: str | None,
) -> None:
    """One operator may become several nodes, and a reshape behind its transposition is its own."""
    before, key = NodeKey(MAIN, 1), NodeKey(MAIN, 2)
    value = value_fingerprint(np.linspace(0.1, 9.7, 64, dtype=np.float32))
    nodes = {
        before: NodeValues((value,), passes_on=True, module=module),
        key: NodeValues((value,), passes_on=True),
    }
    computed = Scope("activation", 0)
    sighting = Sighting(
        computed, value, computes=True, enters=False, read=(), written=0, has_shape=True, depth=0
    )
    reads: Any = SimpleNamespace(inputs=lambda _: [(MAIN, "x")], producers={(MAIN, "x"): before})
    collector: Any = SimpleNamespace(sightings=lambda _: [sighting])
    observed = NodeSightings(nodes, reads, collector, SimpleNamespace())  # type: ignore[arg-type]
    assert inferred_scope(observed, key) == (computed if module is None else None)
