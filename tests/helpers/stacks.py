"""Stacks of equal layers, and what stamping makes of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from modelexport.tracer import TraceResult, trace
from modelexport.tracer.sources.signature import DynamicAxes

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


class ConvolutionLayer(nn.Module):
    """A convolution whose results are normalised by statistics of its own."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(3, 3, 3, padding=1, bias=bias)
        self.norm = nn.BatchNorm1d(3, eps=0.01)
        for tensor in (*self.norm.parameters(), *self.norm.buffers()):
            if tensor.is_floating_point():
                tensor.data = torch.rand(3) + 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.relu(self.norm(self.convolution(x)))


class ConvolutionStack(nn.Module):
    """Convolutions, into which exporters fold the normalisations."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvolutionLayer(bias=bias) for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[None]
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def random_inputs() -> tuple[torch.Tensor]:
    return (torch.randn(3, WIDTH),)


def inputs_of(model: nn.Module) -> tuple[object, ...]:
    states = [torch.randn(2, WIDTH) for _ in range(DEPTH)]
    if isinstance(model, CachingStack):
        return (*random_inputs(), Cache(states))
    return (*random_inputs(), states) if isinstance(model, PassingStack) else random_inputs()


def traced(
    model: nn.Module, path: Path, exporter: str, *, stamp: bool, dynamic: DynamicAxes = False
) -> TraceResult:
    torch.manual_seed(1)
    return trace(model, inputs_of(model), path, exporter=exporter, stamp=stamp, dynamic=dynamic)


def stamped_note(result: TraceResult) -> str:
    return "; ".join(note for note in result.notes if "stamped out" in note)


def outputs(path: Path) -> list[np.ndarray]:
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(5)
    shapes = {
        value.name: [extent if isinstance(extent, int) else 5 for extent in value.shape]
        for value in session.get_inputs()
    }
    feed = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return session.run(None, feed)


def value_types(graph: onnx.GraphProto) -> Counter[bytes]:
    """The types that a graph declares for values, and of how many."""
    return Counter(value.type.SerializeToString(deterministic=True) for value in graph.value_info)


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
    assert value_types(graphs[0]) == value_types(graphs[1])
    shapes = [sorted(tuple(tensor.dims) for tensor in graph.initializer) for graph in graphs]
    assert shapes[0] == shapes[1]
    assert len({node.name for node in graphs[1].node}) == len(graphs[1].node)
    results = outputs(plain.onnx_path), outputs(stamped.onnx_path)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
