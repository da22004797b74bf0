"""Every type of tensor that torch has: traced or refused in a sentence, and recorded always."""

import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from modelexport import Numeric, annotate, compare
from modelexport.errors import ExportFailedError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind, RecordExporter
from modelexport.hierarchy.fingerprints import value_fingerprint, weight_fingerprint
from modelexport.hierarchy.graph_digest import MIN_WEIGHT_BYTES
from modelexport.tracer import TraceResult, record, trace
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.exporters.selection import EXPORTERS

WIDTH = 8
LARGE = 64
"""Side of a matrix that exporters keep outside of the graph, whatever the type of its elements."""


def _stored(dtype: torch.dtype, side: int) -> torch.Tensor | None:
    """A matrix of a type; None where torch can make none."""
    torch.manual_seed(side)
    numbers = torch.randn(side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # types that torch will remove
        try:
            if dtype in QUANTISED:
                return torch.quantize_per_tensor(numbers, 0.1, 0, dtype)
            return numbers.to(dtype)
        except (RuntimeError, NotImplementedError):
            pass
        try:
            return torch.randint(0, 127, (side, side * dtype.itemsize), dtype=torch.uint8).view(
                dtype
            )
        except (RuntimeError, NotImplementedError):
            return None


QUANTISED = {torch.qint8, torch.quint8, torch.qint32}
ALL_DTYPES = {dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}
DTYPES = sorted((d for d in ALL_DTYPES if _stored(d, WIDTH) is not None), key=str)
FLOATS = [d for d in DTYPES if d.is_floating_point]
assert {torch.bfloat16, torch.float8_e4m3fn, torch.complex64, torch.quint8} <= set(DTYPES)


class Holds(nn.Module):
    """Reads a matrix of some type: as numbers where torch can convert it, else as bytes."""

    def __init__(self, dtype: torch.dtype, side: int) -> None:
        super().__init__()
        self.register_buffer("stored", _stored(dtype, side))
        self.inner = nn.Linear(side, side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + _numbers(self.stored).sum()


def _numbers(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_quantized:
        return tensor.dequantize()
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    try:
        return tensor.float()
    except (RuntimeError, NotImplementedError):
        return tensor.view(torch.uint8).float()


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """Torch warns about types that it will remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("side", [WIDTH, LARGE])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_model_that_holds_any_type_is_recorded(
    dtype: torch.dtype, side: int, tmp_path: Path
) -> None:
    """The eager record has all modules, and the fingerprint of each weight that numpy can hold."""
    model = Holds(dtype, side).eval()
    result = record(
        model, torch.randn(2, side), tmp_path / "r.json", exporter=RecordExporter.EAGER
    ).record
    assert {op.module for op in result.ops} == {"", "inner"}
    (stored,) = [t for t in (*result.tensors, *result.absent) if t.parameter == "stored"] or [None]
    array = to_numpy(model.stored)
    if array is not None and not model.stored.is_complex():
        assert stored is not None
        assert stored.weight == weight_fingerprint(array)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_model_that_holds_any_type_is_traced_or_refused(
    dtype: torch.dtype, exporter: str, tmp_path: Path
) -> None:
    """There is a file and its record, or one sentence of the exporter; nothing else."""
    model, x = Holds(dtype, LARGE).eval(), torch.randn(2, LARGE)
    try:
        traced = trace(model, x, tmp_path / "m.onnx", exporter=exporter)
    except ExportFailedError:
        assert not list(tmp_path.iterdir())
        return
    assert {op.module for op in traced.record.ops} >= {"inner"}
    report = annotate(tmp_path / "m.onnx", traced.record, None)
    assert report.resolved == report.nodes > 0


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_model_that_computes_in_any_type(
    dtype: torch.dtype, exporter: str, tmp_path: Path
) -> None:
    """What onnxruntime cannot compute is left out, and the record says so."""
    model = nn.Sequential(nn.Linear(LARGE, LARGE), nn.ReLU()).eval()
    try:
        model, x = model.to(dtype), torch.randn(3, LARGE).to(dtype)
        model(x)
    except (RuntimeError, NotImplementedError):
        pytest.skip("torch itself does not compute in this type")
    assert model[0].weight.nbytes >= MIN_WEIGHT_BYTES
    traced = trace(model, x, tmp_path / "m.onnx", exporter=exporter)
    modules = [op.module for op in traced.record.ops]
    assert set(modules) == {"0", "1"}
    valued = [any(op.values) for op in traced.record.ops]
    assert all(valued) or (not any(valued) and traced.record.probe.missing)
    (weight,) = [t for t in traced.record.tensors if t.parameter == "0.weight"]
    same = (
        weight_fingerprint(to_numpy(model[0].weight.T)),
        weight_fingerprint(to_numpy(model[0].weight)),
    )
    assert weight.weight in same


class Narrow(nn.Module):
    """Passes through a narrow type that onnxruntime reads and writes, and returns it."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.inner = nn.Linear(LARGE, LARGE)
        self.outer = nn.Linear(LARGE, LARGE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        narrow = self.inner(x.float()).to(self.dtype)
        return self.outer(narrow.float()).to(self.dtype)


RUN_BY_ONNXRUNTIME = {torch.float16: 17, torch.bfloat16: 17, torch.float8_e4m3fn: 20}
"""Types from and to which it converts, each with the opset that has it."""


class TracedNarrow(NamedTuple):
    model: nn.Module
    x: torch.Tensor
    traced: TraceResult


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[torch.dtype], TracedNarrow]:
    """Gives the model of a type, its input, and what it was traced to, once."""

    @cache
    def traced_narrow(dtype: torch.dtype) -> TracedNarrow:
        torch.manual_seed(7)
        model, x = Narrow(dtype).eval(), torch.randn(3, LARGE).to(dtype)
        file, opset = tmp_path_factory.mktemp("narrow") / "m.onnx", RUN_BY_ONNXRUNTIME[dtype]
        return TracedNarrow(model, x, trace(model, x, file, exporter="dynamo", opset=opset))

    return traced_narrow


@pytest.mark.parametrize("dtype", RUN_BY_ONNXRUNTIME, ids=str)
def test_values_of_types_that_numpy_lacks_are_recorded(
    narrow: Callable[[torch.dtype], TracedNarrow], dtype: torch.dtype
) -> None:
    """Inputs, inner values and outputs: each has the fingerprint of what torch computes."""
    model, x, traced = narrow(dtype)
    assert traced.record.probe.missing is None
    last = traced.record.ops[-1].values[0]
    expected = value_fingerprint(to_numpy(model(x)))
    assert last is not None
    assert expected is not None
    assert (last.shape, last.kind) == (expected.shape, "f")
    np.testing.assert_allclose(last.statistics(), expected.statistics(), rtol=0.1, atol=0.05)
    (probe,) = traced.record.probe.inputs
    np.testing.assert_array_equal(probe.to_array().astype(np.float32), to_numpy(x))


@pytest.mark.parametrize("dtype", RUN_BY_ONNXRUNTIME, ids=str)
def test_files_with_types_that_numpy_lacks_are_run(
    narrow: Callable[[torch.dtype], TracedNarrow], dtype: torch.dtype, tmp_path: Path
) -> None:
    """Annotate --record, --from and --probe, and compare, read their values."""
    _, _, traced = narrow(dtype)
    onnx.save(_without_names(onnx.load(traced.onnx_path)), tmp_path / "renamed.onnx")
    by_values = MatchOptions(evidence=frozenset({"values", "structure"}))
    report = annotate(tmp_path / "renamed.onnx", traced.record, None, matching=by_values)
    assert (report.resolved, report.notes) == (report.nodes, ())
    annotate(traced.onnx_path, traced.record, tmp_path / "a.onnx")
    (probe,) = traced.record.probe.inputs
    np.savez(tmp_path / "p.npz", **{probe.name: probe.to_array()})
    for given in (None, tmp_path / "p.npz"):
        inherited = annotate(
            tmp_path / "renamed.onnx",
            None,
            None,
            inherit_from=tmp_path / "a.onnx",
            matching=msgspec.structs.replace(by_values, probe=given),
        )
        assert inherited.resolved == inherited.nodes
        assert inherited.evidence[EvidenceKind.VALUES] > 0
    compared = compare(tmp_path / "a.onnx", traced.onnx_path, numeric=Numeric())
    assert compared.numeric is not None
    assert len(compared.numeric.values) > 1
    assert compared.numeric.same


def _without_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model whose nodes and inner values have no names that mean anything."""
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    kept |= {tensor.name for tensor in model.graph.initializer} | {""}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
        for names in (node.input, node.output):
            names[:] = [name if name in kept else f"value_{name}" for name in names]
    del model.graph.value_info[:]
    return model
