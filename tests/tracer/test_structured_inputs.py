"""Structured inputs and outputs: each tensor in them has a name, and none becomes a constant."""

from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from modelexport.errors import ExportFailedError, InputsError
from modelexport.hierarchy.choices import RecordExporter
from modelexport.tracer import record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.sources.containers import take_apart
from modelexport.tracer.sources.signature import bind_inputs
from tests.helpers.traced import open_session

WIDTH = 6
Pair = namedtuple("Pair", ["left", "right"])  # noqa: PYI024 - the plain form, as users write it


@dataclass
class Mutable:
    left: Any
    right: Any


@dataclass(frozen=True)
class Frozen:
    left: Any
    right: Any


class Slots:
    __slots__ = ("left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right


def _plain(left: Any, right: Any) -> SimpleNamespace:
    return SimpleNamespace(left=left, right=right)


KINDS = {
    "dict": lambda left, right: {"left": left, "right": right},
    "OrderedDict": lambda left, right: OrderedDict(left=left, right=right),
    "UserDict": lambda left, right: UserDict(left=left, right=right),
    "namedtuple": Pair,
    "dataclass": Mutable,
    "frozen": Frozen,
    "slots": Slots,
    "object": _plain,
    "tuple": lambda left, right: (left, right),
    "list": lambda left, right: [left, right],
}


def _parts(value: Any) -> tuple[Any, Any]:
    if isinstance(value, tuple | list):
        return value[0], value[1]
    if isinstance(value, dict | UserDict):
        return value["left"], value["right"]
    return value.left, value.right


class Structured(nn.Module):
    """Reads the tensors in two nested containers, a flag and None; returns a container."""

    def __init__(self, outer: str, inner: str) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.outer, self.inner = outer, inner

    def forward(
        self, x: torch.Tensor, state: Any, double: bool = False, nothing: Any = None
    ) -> Any:
        a, below = _parts(state)
        b, c = _parts(below)
        assert nothing is None
        y = self.first(x + a) * (2 if double else 1)
        return KINDS[self.outer](y, KINDS[self.inner](self.second(b), c * 2))


def _case(outer: str, inner: str) -> tuple[nn.Module, dict[str, Any], list[torch.Tensor]]:
    torch.manual_seed(len(outer) * 31 + len(inner))
    x, a, b, c = (torch.randn(n + 1, WIDTH) if n > 1 else torch.randn(2, WIDTH) for n in range(4))
    state = KINDS[outer](a, KINDS[inner](b, c))
    inputs = {"x": x, "state": state, "double": True, "nothing": None}
    return Structured(outer, inner).eval(), inputs, [x, a, b, c]


PAIRS = [(kind, list(KINDS)[(n * 3 + 1) % len(KINDS)]) for n, kind in enumerate(KINDS)]


def _keys(kind: str) -> tuple[str, str]:
    return ("0", "1") if kind in {"tuple", "list"} else ("left", "right")


@pytest.mark.parametrize("exporter", [*EXPORTERS, RecordExporter.EAGER])
@pytest.mark.parametrize(("outer", "inner"), PAIRS)
def test_each_tensor_in_a_container_is_an_input(
    outer: str, inner: str, exporter: str, tmp_path: Path
) -> None:
    """Its name is the path that leads to it, and the file computes what the model computes."""
    model, inputs, tensors = _case(outer, inner)
    (a, below), (b, c) = _keys(outer), _keys(inner)
    names = ["x", f"state.{a}", f"state.{below}.{b}", f"state.{below}.{c}"]
    if exporter == RecordExporter.EAGER:
        probes = record(model, inputs, tmp_path / "r.json", exporter=exporter).record.probe.inputs
        assert [probe.name for probe in probes] == names
        return
    traced = trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    session = open_session(traced.onnx_path)
    assert [value.name for value in session.get_inputs()] == names
    outputs = {f"output_{k}" if k.isdigit() else k for k in (a,)}
    first, *rest = (value.name for value in session.get_outputs())
    assert {first} == outputs
    assert [name.split(".")[-1] for name in rest] == [b, c]
    other = [tensor * 3 + 1 for tensor in tensors]
    state = KINDS[outer](other[1], KINDS[inner](other[2], other[3]))
    left, right = _parts(model(other[0], state, True))
    expected = [left, *_parts(right)]
    results = session.run(None, dict(zip(names, (t.numpy() for t in other), strict=True)))
    for result, tensor in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, tensor.detach().numpy(), rtol=1e-4, atol=1e-5)


class Accumulates(nn.Module):
    """Writes into its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        return total.add_(self.inner(x)) * 2


@pytest.mark.parametrize("exporter", [*EXPORTERS, RecordExporter.EAGER])
def test_inputs_that_the_model_writes_to_keep_their_values(exporter: str, tmp_path: Path) -> None:
    """The record has the values from before the run."""
    x, total = torch.randn(2, WIDTH), torch.randn(2, WIDTH)
    before = total.clone()
    result = record(Accumulates().eval(), (x, total), tmp_path / "r.json", exporter=exporter)
    assert torch.equal(total, before)
    probes = {probe.name: probe.to_array() for probe in result.record.probe.inputs}
    np.testing.assert_array_equal(probes["total"], before.numpy())


class Decides(nn.Module):
    """Reads an input as a Python number, which TorchScript writes down as a constant."""

    def forward(self, x: torch.Tensor, factor: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
        return x * float(factor) + unused.shape[0]


def test_an_input_that_became_a_constant_is_refused(tmp_path: Path) -> None:
    """The sentence names it; an input that does not matter is no fault."""
    inputs = torch.randn(2, WIDTH), torch.tensor(2.5), torch.randn(3)
    with pytest.raises(ExportFailedError, match="input factor into a constant"):
        trace(Decides(), inputs, tmp_path / "m.onnx", exporter="torchscript")
    assert not list(tmp_path.iterdir())


class Noisy(nn.Module):
    """Adds new random numbers in each run."""

    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x) + unused.shape[0]


class Counts(nn.Module):
    """Counts its runs in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
        self.runs.add_(1)
        return x + self.runs + unused.shape[0]


class Remembers(nn.Module):
    """Counts its runs where nobody sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def forward(self, x: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        return x + self.runs + unused.shape[0]


@pytest.mark.parametrize("model", [Noisy(), Counts(), Remembers()])
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_runs_that_differ_by_themselves_refuse_nothing(
    model: nn.Module, exporter: str, tmp_path: Path
) -> None:
    """The input does not matter, though no two runs return the same."""
    inputs = torch.randn(2, WIDTH), torch.randn(3)
    traced = trace(model, inputs, tmp_path / "m.onnx", exporter=exporter)
    read = {name for op in traced.record.ops for name in op.inputs}
    assert "x" in read
    assert "unused" not in read


class Opaque:
    """Holds a tensor where nothing finds it."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.get = {tensor}


@pytest.mark.parametrize(
    "hidden", [Opaque, lambda t: {t}, lambda t: frozenset([t]), lambda t: iter([t])]
)
def test_what_cannot_be_taken_apart_is_named(hidden: Any) -> None:
    """With its place, its type, and what to do."""
    inputs = {"x": torch.randn(2, WIDTH), "state": {"inside": hidden(torch.randn(2))}}
    with pytest.raises(
        InputsError, match=r"state\.inside.*\b(set|frozenset|list_iterator).*register"
    ):
        bind_inputs(Structured("dict", "dict"), inputs)


def test_arrays_of_numpy_are_no_constants() -> None:
    """They are named, instead of being written into the file."""
    with pytest.raises(InputsError, match=r"state\.1.*numpy"):
        take_apart({"state": [torch.ones(1), np.ones(1)]})


class Linked:
    """A container that a part of it refers back to."""

    def __init__(self, kind: str, tensor: torch.Tensor) -> None:
        self.below = KINDS[kind](self, 2)
        self.tensor = tensor


class ReadsBack(nn.Module):
    """Reads a tensor by the way back from what it holds."""

    def forward(self, x: torch.Tensor, state: Linked) -> torch.Tensor:
        back, factor = _parts(state.below)
        return x + back.tensor * factor


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_refers_back_to_its_container_reads_the_input(
    kind: str, exporter: str, tmp_path: Path
) -> None:
    """A tensor that is reached on the way back is no constant either."""
    x, tensor, other = (torch.randn(2, WIDTH) for _ in range(3))
    traced = trace(ReadsBack(), (x, Linked(kind, tensor)), tmp_path / "m.onnx", exporter=exporter)
    feeds = {"x": x.numpy(), "state.tensor": other.numpy()}
    (result,) = open_session(traced.onnx_path).run(None, feeds)
    np.testing.assert_allclose(result, (x + other * 2).numpy(), rtol=1e-5)
