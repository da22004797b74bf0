"""Equal layers are exported once: the file is the one that the whole export gives."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from modelexport.tracer import TraceResult, trace
from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.exporters.torchscript import export
from modelexport.tracer.model_preparation import prepared
from modelexport.tracer.sources.signature import bind_inputs
from modelexport.tracer.sources.weightless import on_fake_tensors
from modelexport.tracer.stamping.equal_runs import equal_runs
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.short_model import shortened
from modelexport.tracer.stamping.sibling_calls import observe_siblings
from modelexport.tracer.stamping.stamping import stamp
from modelexport.tracer.stamping.verification import verify, verify_structure

WIDTH = 6
DEPTH = 14


class Layer(nn.Module):
    """Takes the state, a context that is the same for all layers, and a number."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor] = torch.tanh) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH))
        self.scale = nn.Parameter(torch.rand(WIDTH))
        self._activation = activation

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, factor: float = 1.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gate = self._activation(self.inner(x)) * context
        return x + factor * gate * (1 + self.scale), gate


class Stack(nn.Module):
    """Layers, one after the other; `kinds` take turns."""

    def __init__(
        self, depth: int = DEPTH, kinds: Sequence[Callable[..., torch.Tensor]] = (torch.tanh,)
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(kinds[k % len(kinds)]) for k in range(depth))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context = x.cos()
        for layer in self.layers:
            x, _ = layer(x, context)
        return self.head(x)


class CollectingStack(Stack):
    """Returns what each layer computed."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        context, gates = x.cos(), []
        for layer in self.layers:
            x, gate = layer(x, context)
            gates.append(gate)
        return (self.head(x), *gates)


class CountingStack(Stack):
    """Gives each layer another number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context = x.cos()
        for number, layer in enumerate(self.layers):
            x, _ = layer(x, context, 1 + number / 10)
        return self.head(x)


class Cache:
    """The states of earlier runs, one of each layer."""

    def __init__(self, states: list[torch.Tensor]) -> None:
        self.states = states


class CachingLayer(Layer):
    """Reads a state of its own from a cache, and puts a longer one there."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def forward(self, x: torch.Tensor, cache: Cache) -> torch.Tensor:  # type: ignore[override]
        states = torch.cat([cache.states[self._number], self.inner(x)])
        cache.states[self._number] = states
        return x + states.mean(0) * self.scale


class CachingStack(nn.Module):
    """Layers with a cache; what is in it is an input and an output of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CachingLayer(number) for number in range(DEPTH))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor, cache: Cache) -> tuple[torch.Tensor, list[torch.Tensor]]:
        for layer in self.layers:
            x = layer(x, cache)
        return self.head(x), cache.states


class PassingLayer(Layer):
    """Gets its own state as an argument."""

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states = torch.cat([state, self.inner(x)])
        return x + states.mean(0) * self.scale, states


class PassingStack(nn.Module):
    """Layers that get and return states, which are inputs and outputs of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PassingLayer() for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, 2)

    def forward(
        self, x: torch.Tensor, states: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        present = []
        for layer, state in zip(self.layers, states, strict=True):
            x, new = layer(x, state)
            present.append(new)
        return self.head(x), present


def random_inputs() -> tuple[torch.Tensor]:
    return (torch.randn(3, WIDTH),)


def inputs_of(model: nn.Module) -> tuple[object, ...]:
    states = [torch.randn(2, WIDTH) for _ in range(DEPTH)]
    if isinstance(model, CachingStack):
        return (*random_inputs(), Cache(states))
    return (*random_inputs(), states) if isinstance(model, PassingStack) else random_inputs()


def traced(model: nn.Module, path: Path, exporter: str, *, stamp: bool) -> TraceResult:
    torch.manual_seed(1)
    return trace(model, inputs_of(model), path, exporter=exporter, stamp=stamp)


def stamped_note(result: TraceResult) -> str:
    return "; ".join(note for note in result.notes if "stamped out" in note)


def outputs(path: Path) -> list[np.ndarray]:
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(5)
    feed = {i.name: random.standard_normal(i.shape, np.float32) for i in session.get_inputs()}
    return session.run(None, feed)


def assert_same(plain: TraceResult, stamped: TraceResult) -> None:
    """The files have the same operators, tags, initializers, and values bit for bit."""
    tagged = [
        Counter((op.op_type, op.module, op.call) for op in result.record.ops)
        for result in (plain, stamped)
    ]
    assert tagged[0] == tagged[1]
    graphs = [onnx.load(result.onnx_path).graph for result in (plain, stamped)]
    assert [*graphs[0].input] == [*graphs[1].input]
    assert [*graphs[0].output] == [*graphs[1].output]
    shapes = [sorted(tuple(tensor.dims) for tensor in graph.initializer) for graph in graphs]
    assert shapes[0] == shapes[1]
    assert len({node.name for node in graphs[1].node}) == len(graphs[1].node)
    results = outputs(plain.onnx_path), outputs(stamped.onnx_path)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("exporter", "depth", "kinds"),
    [
        pytest.param("dynamo", 8, (torch.tanh,), id="dynamo"),
        pytest.param("torchscript", DEPTH, (torch.tanh,), id="torchscript"),
        pytest.param("torchscript", DEPTH, (torch.tanh, torch.sin), id="two kinds take turns"),
    ],
)
def test_the_file_is_that_of_the_whole_export(
    tmp_path: Path, exporter: str, depth: int, kinds: Sequence[Callable[..., torch.Tensor]]
) -> None:
    torch.manual_seed(0)
    model = Stack(depth, kinds).eval()
    plain = traced(model, tmp_path / "plain.onnx", exporter, stamp=False)
    stamped = traced(model, tmp_path / "stamped.onnx", exporter, stamp=True)
    first = 2 * len(kinds)
    last = depth - depth % len(kinds) - len(kinds) - 1
    assert f"layers.{first} to layers.{last}" in stamped_note(stamped)
    assert not stamped_note(plain)
    assert_same(plain, stamped)


@pytest.mark.parametrize("build", [CollectingStack, CachingStack, PassingStack])
def test_layers_with_inputs_and_outputs_of_the_model(
    tmp_path: Path, build: Callable[[], nn.Module]
) -> None:
    """The copies have the inputs and outputs of their own layers, under their names, in order."""
    torch.manual_seed(0)
    model = build().eval()
    plain = traced(model, tmp_path / "plain.onnx", "torchscript", stamp=False)
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert f"layers.2 to layers.{DEPTH - 2}" in stamped_note(stamped)
    assert_same(plain, stamped)


def test_layers_that_read_an_input_in_turns_are_exported(tmp_path: Path) -> None:
    """Two layers read one state, so the inputs of a copy do not follow from its number."""
    torch.manual_seed(0)
    model = CachingStack().eval()
    model.layers[DEPTH // 2]._number = DEPTH // 2 - 1
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert not stamped_note(stamped)


def test_a_model_without_weights_has_the_same_structure(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = Stack(depth=8).eval()
    results = [
        traced(model, tmp_path / f"{stamp}.onnx", "dynamo", stamp=stamp) for stamp in (False, True)
    ]
    assert "layers.2 to layers.6" in stamped_note(results[1])
    plain, stamped = (onnx.load(r.onnx_path, load_external_data=False).graph for r in results)
    weights = [
        {(tensor.name, tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer}
        for graph in (plain, stamped)
    ]
    assert weights[0] == weights[1]
    ops = [Counter((op.op_type, op.module, op.call) for op in r.record.ops) for r in results]
    assert ops[0] == ops[1]
    assert not results[1].has_values


class CountedStack(Stack):
    """Does something for each layer that has run."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context, calls = x.cos(), []
        handles = [
            layer.inner.register_forward_hook(lambda *_: calls.append(1)) for layer in self.layers
        ]
        for layer in self.layers:
            x, _ = layer(x, context)
        for handle in handles:
            handle.remove()
        for _ in calls:
            x = x + 1
        return self.head(x)


def test_without_weights_what_runs_elsewhere_must_not_depend_on_the_layers() -> None:
    with torch.device("meta"):
        models = [Stack().eval(), CountedStack().eval()]
    errors = []
    for model in models:
        with prepared(model) as mode:
            call = on_fake_tensors(bind_inputs(model, random_inputs()), mode)
            _, siblings = observe_siblings(model, call)
            assert siblings is not None
            runs = equal_runs(siblings.calls)
            assert len(runs) == 1
            with shortened(model, runs):
                try:
                    verify_structure(model, call, siblings, runs)
                except StampingError as error:
                    errors.append(str(error))
    assert errors == ["without some of its layers, the model does something else elsewhere"]


def one_other_kind() -> nn.Module:
    model = Stack()
    model.layers[DEPTH // 2] = Layer(torch.sin)
    return model


def one_other_width() -> nn.Module:
    model = Stack()
    model.layers[DEPTH // 2].inner = nn.Sequential(
        nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2), nn.Linear(2, WIDTH)
    )
    return model


@pytest.mark.parametrize(
    "build",
    [CountingStack, one_other_kind, one_other_width, lambda: Stack(depth=7)],
    ids=["other numbers", "another kind", "another width", "few"],
)
def test_other_layers_are_exported(tmp_path: Path, build: Callable[[], nn.Module]) -> None:
    """What cannot be copied is no error: the file is the same with and without stamping."""
    torch.manual_seed(0)
    model = build().eval()
    plain = traced(model, tmp_path / "plain.onnx", "torchscript", stamp=False)
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert not stamped_note(stamped)
    assert plain.onnx_path.read_bytes() == stamped.onnx_path.read_bytes()


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
    for parameter in model.get_submodule(wrong.path).parameters():
        parameter.data.add_(0.01)
    stamped = stamp(short, run, call)
    with pytest.raises(StampingError, match=wrong.path.replace(".", r"\.")):
        verify(stamped.exported, call, expected, [(run, stamped.boundaries)])
