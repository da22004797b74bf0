"""Calls that an exporter merges into one node: their modules, in the order of the run."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from modelexport.hierarchy.record import Op, Record
from modelexport.tracer import trace

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # torch's own


class Padded(nn.Module):
    """Pads in its own forward what its convolution reads; a normalisation may follow."""

    def __init__(self, *, normalised: bool = False, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding_mode="zeros")
        self.norm = nn.BatchNorm2d(3) if normalised else nn.Identity()
        self.padding = padding
        if normalised:
            nn.init.normal_(self.norm.running_mean)
            nn.init.uniform_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, [self.padding] * 4)
        return torch.tanh(self.norm(self.conv(padded)))


class Shared(Padded):
    """Returns the padded value too: a node computes it, so nothing is merged."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        padded = functional.pad(x, [self.padding] * 4)
        return self.conv(padded), padded


class Outer(nn.Module):
    """Gives its part something that it computed."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.part(torch.sin(x))


@functools.cache
def _record_of(make: Callable[[], nn.Module], folder: Path) -> Record:
    torch.manual_seed(0)
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    return trace(Outer(make()).eval(), torch.randn(1, 3, 6, 6), path).record


@pytest.fixture(scope="module")
def convolution(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Op]:
    """The convolution of a model's record."""
    folder = tmp_path_factory.mktemp("merged")

    def find(make: Callable[[], nn.Module]) -> Op:
        (op,) = (op for op in _record_of(make, folder).ops if op.op_type == "Conv")
        return op

    return find


def test_a_padding_that_became_an_attribute_is_its_modules(
    convolution: Callable[..., Op],
) -> None:
    """No weight tells of it; the value between both calls is kept."""
    op = convolution(Padded)
    assert (op.module, op.also) == ("part.conv", ("part",))
    assert [call.module for call in op.merged] == ["part", "part.conv"]
    padded, last = (call.value for call in op.merged)
    assert padded is not None
    assert padded.size == 3 * 8 * 8
    assert last is None


def test_all_calls_between_two_values_of_the_file_are_merged(
    convolution: Callable[..., Op],
) -> None:
    """The exporter folds the normalisation too, which stands behind the convolution."""
    op = convolution(functools.partial(Padded, normalised=True))
    assert {op.module, *op.also} == {"part", "part.conv", "part.norm"}
    assert [call.module for call in op.merged] == ["part", "part.conv", "part.norm"]


def test_what_a_node_computes_is_not_merged_with_what_reads_it(
    convolution: Callable[..., Op],
) -> None:
    """The padded value is a result of the model, so the file has a node for it."""
    op = convolution(Shared)
    assert (op.module, op.also, op.merged) == ("part.conv", (), ())
