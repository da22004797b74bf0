"""Equal layers are exported once: the file is the one that the whole export gives."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.exporters.torchscript import export
from modelexport.tracer.sources.signature import DynamicAxes, bind_inputs
from modelexport.tracer.stamping.equal_runs import equal_runs
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.short_model import shortened
from modelexport.tracer.stamping.sibling_observer import observe_siblings
from modelexport.tracer.stamping.stamping import stamp
from modelexport.tracer.stamping.verification import verify
from tests.helpers.stacks import (
    DEPTH,
    WIDTH,
    ConvolutionStack,
    Layer,
    Stack,
    assert_same,
    random_inputs,
    stamped_note,
    traced,
)


@pytest.mark.parametrize(
    ("exporter", "depth", "kinds", "dynamic"),
    [
        pytest.param("dynamo", 8, (torch.tanh,), {"x": {0: "batch"}}, id="dynamo, a dynamic axis"),
        pytest.param("torchscript", DEPTH, (torch.tanh,), False, id="torchscript"),
        pytest.param(
            *("torchscript", DEPTH, (torch.tanh, torch.sin), {"x": {0: "batch"}}),
            id="two kinds take turns",
        ),
    ],
)
def test_the_file_is_that_of_the_whole_export(
    tmp_path: Path,
    exporter: str,
    depth: int,
    kinds: Sequence[Callable[..., torch.Tensor]],
    dynamic: DynamicAxes,
) -> None:
    torch.manual_seed(0)
    model = Stack(depth, kinds).eval()
    plain, stamped = (
        traced(model, tmp_path / f"{is_stamped}.onnx", exporter, stamp=is_stamped, dynamic=dynamic)
        for is_stamped in (False, True)
    )
    first = 2 * len(kinds)
    last = depth - depth % len(kinds) - len(kinds) - 1
    assert f"layers.{first} to layers.{last}" in stamped_note(stamped)
    assert not stamped_note(plain)
    assert_same(plain, stamped)


@pytest.mark.parametrize("bias", [True, False])
def test_normalisations_are_folded_into_each_convolution(tmp_path: Path, bias: bool) -> None:
    """An exporter computes new weights of a convolution; each copy has its own, bit for bit."""
    torch.manual_seed(0)
    model = ConvolutionStack(bias=bias).eval()
    plain = traced(model, tmp_path / "plain.onnx", "torchscript", stamp=False)
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert f"layers.2 to layers.{DEPTH - 2}" in stamped_note(stamped)
    assert "BatchNormalization" not in {op.op_type for op in plain.record.ops}
    assert_same(plain, stamped)


def one_other_width() -> nn.Module:
    model = Stack()
    model.layers[DEPTH // 2].inner = nn.Sequential(
        nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2), nn.Linear(2, WIDTH)
    )
    return model


def one_almost_equal_weight() -> nn.Module:
    """An exporter keeps one of the equal weights; one layer has another, by less than rounding."""
    model = Stack()
    for number, layer in enumerate(model.layers):
        layer.scale.data.fill_(1 + (number == DEPTH // 2) * 1e-6)
    return model


class CountedLayer(Layer):
    """Counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.ones(WIDTH))

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, factor: float = 1.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        return super().forward(x * self.calls, context, factor)


def counted_layers() -> nn.Module:
    model = Stack()
    model.layers = nn.ModuleList(CountedLayer() for _ in range(DEPTH))
    return model


@pytest.mark.parametrize(
    ("build", "note"),
    [
        (one_other_width, ""),
        (one_almost_equal_weight, "not all layers have the values of"),
        (counted_layers, "the values are not the model's"),
    ],
)
def test_other_layers_are_exported(
    tmp_path: Path, build: Callable[[], nn.Module], note: str
) -> None:
    """What cannot be copied is no error: the file is the same with and without stamping."""
    files = []
    for is_stamped in (False, True):
        torch.manual_seed(0)
        path = tmp_path / f"{is_stamped}.onnx"
        files.append(traced(build().eval(), path, "torchscript", stamp=is_stamped))
    assert (note in stamped_note(files[1])) if note else not stamped_note(files[1])
    assert files[0].onnx_path.read_bytes() == files[1].onnx_path.read_bytes()


def test_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Stack().eval()
    modules = list(model.named_modules())
    traced(model, tmp_path / "net.onnx", "torchscript", stamp=True)
    assert list(model.named_modules()) == modules


def test_values_that_are_not_the_models_are_refused() -> None:
    """A stamped layer with the weights of another is found by the values behind it."""
    torch.manual_seed(0)
    model = Stack().eval()
    call = bind_inputs(model, random_inputs())
    _, siblings = observe_siblings(model, call)
    assert siblings is not None
    expected = siblings.outputs
    (run,) = equal_runs(siblings.calls)
    with torch.no_grad(), shortened(model, [run]):
        short = export(model, call, ExportSettings(17))
    stamped = stamp(short, run, call)
    verify(stamped.exported, call, expected, [(run, stamped.boundaries)])
    wrong = run.stamped[2][0]
    model.get_submodule(wrong.path).inner[1].weight.data.mul_(1.5)
    stamped = stamp(short, run, call)
    with pytest.raises(StampingError, match=wrong.path.replace(".", r"\.")):
        verify(stamped.exported, call, expected, [(run, stamped.boundaries)])
