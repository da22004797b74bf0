"""Files that another builder wrote: fused operators, and a cache that the record lacks."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from fixtures_gen.eager import run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import derive_truth
from modelexport.hierarchy.record import read_record
from modelexport.rewriter import annotate
from modelexport.tracer import trace

WIDTH, LENGTH, BATCH, EPSILON = 16, 5, 2, 1e-5


class Block(nn.Module):
    """A sum, a norm and a projection, as in a decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = x + before
        normed = self.norm(total)
        scores = self.query(normed) @ self.key(normed).transpose(-1, -2)
        return total, self.out(torch.relu(scores) @ normed)


class Decoder(nn.Module):
    """Three blocks in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = torch.zeros_like(x) + x.tanh()
        for block in self.blocks:
            x, before = block(x, before)
        return x + before


def decoder() -> Decoder:
    """A decoder with random weights, the same each time."""
    torch.manual_seed(0)
    model = Decoder().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def built(model: Decoder, path: Path) -> None:
    """Write the file of a decoder with fused sums and norms, and a cache of keys."""
    weights: dict[str, np.ndarray] = {}
    nodes = [helper.make_node("Tanh", ["x"], ["before0"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, "length", WIDTH])]
    total, before = "x", "before0"
    for n, block in enumerate(model.blocks):
        for name, tensor in block.state_dict().items():
            array = tensor.numpy()
            weights[f"w{n}.{name}"] = array if array.ndim == 1 else np.ascontiguousarray(array.T)
        skip = [total, before, f"w{n}.norm.weight", f"w{n}.norm.bias"]
        inputs.append(
            helper.make_tensor_value_info(f"past{n}", TensorProto.FLOAT, [BATCH, "past", WIDTH])
        )
        nodes += [
            helper.make_node(
                "SkipLayerNormalization",
                skip,
                [f"normed{n}", "", "", f"total{n}"],
                domain="com.microsoft",
                epsilon=EPSILON,
            ),
            helper.make_node("MatMul", [f"normed{n}", f"w{n}.query.weight"], [f"query{n}"]),
            helper.make_node("MatMul", [f"normed{n}", f"w{n}.key.weight"], [f"new{n}"]),
            helper.make_node("Concat", [f"past{n}", f"new{n}"], [f"key{n}"], axis=1),
            helper.make_node(
                "FusedMatMul", [f"query{n}", f"key{n}"], [f"s{n}"], domain="com.microsoft", transB=1
            ),
            helper.make_node("Relu", [f"s{n}"], [f"r{n}"]),
            helper.make_node("MatMul", [f"r{n}", f"normed{n}"], [f"mixed{n}"]),
            helper.make_node("MatMul", [f"mixed{n}", f"w{n}.out.weight"], [f"out{n}"]),
        ]
        total, before = f"total{n}", f"out{n}"
    nodes.append(helper.make_node("Add", [total, before], ["y"]))
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [BATCH, "length", WIDTH])
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], held)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record, and a file that a builder wrote."""
    path = tmp_path_factory.mktemp("built")
    model = decoder()
    trace(model, {"x": torch.randn(BATCH, LENGTH, WIDTH)}, path / "plain.onnx")
    built(model, path / "built.onnx")
    return path


def test_nodes_cover_what_they_do(folder: Path) -> None:
    """Values are compared although the record lacks the cache; truth is an eager run's."""
    record = read_record(folder / "plain.trace.json")
    report = annotate(folder / "built.onnx", folder / "plain.trace.json", folder / "out.onnx")
    assert report.notes == ()
    x = torch.randn(BATCH, LENGTH, WIDTH)
    empty = np.zeros((BATCH, 0, WIDTH), np.float32)
    feeds = {"x": x.numpy(), **{f"past{n}": empty for n in range(3)}}
    truth = derive_truth(observe(folder / "built.onnx", feeds), run_eagerly(decoder(), {"x": x}))
    assert len(truth.covers) >= 3 * 6
    fused = [key for key, covers in truth.covers.items() if len(covers.required) > 1]
    assert len(fused) == 3
    decisions = {decision.key: decision for decision in report.decisions}
    assert None not in {decision.module for decision in decisions.values()}
    for key, covers in truth.covers.items():
        decision = decisions[key]
        claimed = {record.tree.canonical(p) for p in decision.covers or (decision.module,)}
        assert covers.required <= claimed <= covers.allowed, decision
