"""Example inputs that tell nothing apart: the probe is made on others, if the model takes them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.record import Record
from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.records.value_equality import values_agree
from tests.helpers.traced import TracedModels, every_case

TOKENS = 11


class Reads(nn.Module):
    """Tokens, hidden by a mask that is put in place of infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(TOKENS, 8)
        self.out = nn.Linear(8, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Attends to all that is not hidden."""
        x = self.table(ids)
        hidden = (1.0 - mask[:, None, :].float()) * torch.finfo(torch.float32).min
        weights = (x @ x.transpose(1, 2) + hidden).softmax(-1)
        actual: torch.Tensor = self.out(weights @ x)
        return actual


class Roots(nn.Module):
    """Takes no negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the square root."""
        actual: torch.Tensor = self.out(x.sqrt())
        return actual


class Chooses(nn.Module):
    """Decides by its input, in Python: what is exported does one of both."""

    def __init__(self) -> None:
        super().__init__()
        self.some, self.none = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One or the other."""
        actual: torch.Tensor = self.none(x) if float(x.abs().sum()) == 0 else self.some(x)
        return actual


def probes(record: Record) -> dict[str, np.ndarray]:
    return {probe.name: probe.to_array() for probe in record.probe.inputs}


def traced_on(model: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path, by: str) -> Record:
    before = [tensor.clone() for tensor in inputs]
    done: TraceResult = trace(model.eval(), inputs, folder / "m.onnx", exporter=by)
    assert inputs
    assert [torch.equal(a, b) for a, b in zip(before, inputs, strict=True)] == [True] * len(inputs)
    return done.record


def check_outputs(model: nn.Module, record: Record) -> None:
    """The recorded output is what the model computes from the recorded inputs."""
    with torch.no_grad():
        true = value_fingerprint(
            model(*(torch.from_numpy(array.copy()) for array in probes(record).values())).numpy()
        )
    assert true is not None
    last = record.ops[-1].values[-1]
    assert last is not None
    assert last.nan == last.positive_infinite == last.negative_infinite == 0
    assert values_agree(last, true)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("number", [0.0, 1.0])
def test_real_numbers(exporter: str, number: float, tmp_path: Path) -> None:
    """No two are the same any more, and nothing is lost on the way."""
    torch.manual_seed(0)
    model = Roots()
    record = traced_on(model, (torch.full((2, 8), number),), tmp_path, exporter)
    (probe,) = probes(record).values()
    assert np.unique(probe).size == probe.size
    assert [note for note in record.source.why if "one number throughout" in note]
    check_outputs(model, record)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_tokens_and_masks(exporter: str, tmp_path: Path) -> None:
    """Tokens are some that the model has, and the mask leaves something to attend to."""
    torch.manual_seed(0)
    model = Reads()
    ones = torch.ones(2, 9, dtype=torch.int64)
    record = traced_on(model, (ones, ones.clone()), tmp_path, exporter)
    ids, mask = probes(record).values()
    assert np.unique(ids).size > 1
    assert 0 <= ids.min() <= ids.max() < TOKENS
    assert np.unique(mask).size > 1
    check_outputs(model, record)


def test_a_mask_of_ones_beside_tokens(tmp_path: Path) -> None:
    """What tells enough is left alone, all of it."""
    torch.manual_seed(0)
    ids = torch.randint(TOKENS, (2, 9))
    record = traced_on(Reads(), (ids, torch.ones_like(ids)), tmp_path, "dynamo")
    assert [array.tolist() for array in probes(record).values()] == [
        ids.tolist(),
        torch.ones_like(ids).tolist(),
    ]


def test_what_was_made_for_the_example_alone(tmp_path: Path) -> None:
    """A file that does on other inputs what the model does not is probed on the example."""
    torch.manual_seed(0)
    model, zeros = Chooses(), torch.zeros(2, 8)
    record = traced_on(model, (zeros,), tmp_path, "torchscript")
    (probe,) = probes(record).values()
    assert not probe.any()
    assert [note for note in record.source.why if "one number throughout" in note] == []
    check_outputs(model, record)


@every_case
def test_inputs_that_tell_are_kept(traced: TracedModels, name: str, exporter: str) -> None:
    """The probe of a fixture is its own inputs, as far as the file has them."""
    _, inputs = FIXTURES[name].build()
    given = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, torch.Tensor)]
    recorded = probes(traced(name, exporter).record).values()
    assert recorded
    assert all(any(np.array_equal(array, own.numpy()) for own in given) for array in recorded)
