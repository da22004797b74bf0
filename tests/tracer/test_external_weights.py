"""Models whose weights do not fit into one protobuf file get a file of weights beside them."""

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from modelexport.errors import FileProblem
from modelexport.rewriter import annotate, strip, validate
from modelexport.tracer import trace, tracing
from modelexport.tracer.exporters import model_file
from modelexport.tracer.exporters.selection import EXPORTERS

both_exporters = pytest.mark.parametrize("exporter", EXPORTERS)


class _Scaled(nn.Module):
    """Weights of two types, one of them stored transposed by exporters."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(24, 40)
        self.narrow = nn.Linear(40, 24)
        self.register_buffer("scale", torch.rand(40, dtype=torch.float64).repeat(8)[:240])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(torch.relu(self.wide(x))).repeat(1, 10) * self.scale


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that a model of a few kilobytes exceeds."""
    monkeypatch.setattr(model_file, "MAX_WEIGHT_BYTES", 4096)


def _inputs() -> tuple[torch.Tensor]:
    return (torch.randn(3, 24, generator=torch.Generator().manual_seed(1)),)


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@both_exporters
@pytest.mark.usefixtures("small_limit")
def test_weights_beside_are_the_weights_inside(
    exporter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two ways to write a model differ in nothing but where the numbers are."""
    model = _Scaled().eval()
    (tmp_path / "beside").mkdir()
    apart = trace(model, _inputs(), tmp_path / "beside" / "m.onnx", exporter=exporter)
    monkeypatch.undo()
    whole = trace(model, _inputs(), tmp_path / "m.onnx", exporter=exporter)
    assert _files(tmp_path / "beside") == ["m.onnx", "m.onnx.data", "m.trace.json"]
    references = onnx.load(apart.onnx_path, load_external_data=False).graph.initializer
    assert sum(onnx.external_data_helper.uses_external_data(t) for t in references) >= 3
    assert _numbers(apart.onnx_path) == _numbers(whole.onnx_path)
    assert apart.record.digest == whole.record.digest
    assert apart.record.ops == whole.record.ops
    assert apart.record.tensors == whole.record.tensors


def _numbers(path: Path) -> list[tuple[str, tuple[int, ...], str, bytes]]:
    arrays = [(t.name, onnx.numpy_helper.to_array(t)) for t in onnx.load(path).graph.initializer]
    return [(name, a.shape, str(a.dtype), a.tobytes()) for name, a in arrays]


@both_exporters
@pytest.mark.usefixtures("small_limit")
def test_the_whole_way_with_weights_beside(exporter: str, tmp_path: Path) -> None:
    """Annotate, validate and strip work on what trace wrote, and never touch the weights."""
    traced = trace(_Scaled().eval(), _inputs(), tmp_path / "m.onnx", exporter=exporter)
    data = (tmp_path / "m.onnx.data").read_bytes()
    annotated = tmp_path / "a.onnx"
    report = annotate(traced.onnx_path, traced.record, annotated)
    assert report.resolved == report.nodes
    checked = validate(
        annotated, record=traced.record, reference=traced.onnx_path, consistency=True
    )
    assert (checked.faults, checked.good) == ([], True)
    strip(annotated, tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == traced.onnx_path.read_bytes()
    assert (tmp_path / "m.onnx.data").read_bytes() == data


@pytest.mark.usefixtures("small_limit")
def test_a_file_of_weights_is_not_overwritten(tmp_path: Path) -> None:
    """Without force nothing is written at all; with it the weights are new."""
    there = tmp_path / "m.onnx.data"
    there.write_bytes(b"mine")
    with pytest.raises(FileProblem, match=r"m\.onnx\.data"):
        trace(_Scaled().eval(), _inputs(), tmp_path / "m.onnx", exporter="torchscript")
    assert (_files(tmp_path), there.read_bytes()) == (["m.onnx.data"], b"mine")
    trace(_Scaled().eval(), _inputs(), tmp_path / "m.onnx", exporter="torchscript", force=True)
    assert there.stat().st_size > 4096


def _failing(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize(
    ("owner", "name", "file"),
    [
        (model_file, "_memory", "m.onnx.data"),
        (model_file, "_write_message", "m.onnx"),
        (tracing, "encode_record", "m.trace.json"),
    ],
)
def test_no_weights_are_left_when_it_fails(
    owner: object, name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file fails is named, and none of the three is there."""
    monkeypatch.setattr(owner, name, _failing)
    with pytest.raises(FileProblem, match="the disk is full") as caught:
        trace(_Scaled().eval(), _inputs(), tmp_path / "m.onnx", exporter="torchscript")
    assert str(caught.value).startswith(f"{tmp_path / file}: ")
    assert _files(tmp_path) == []
