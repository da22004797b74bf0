"""The truth of `hierarchy.covers`, on models of a few operators."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper, parser
from torch import nn

from fixtures_gen.covers import Covers
from fixtures_gen.eager import run_eagerly
from fixtures_gen.onnx_values import observe
from fixtures_gen.truth import derive_truth, truth
from modelexport.hierarchy.graph_paths import MAIN, NodeKey

WIDTH = 8


class Mask(nn.Module):
    """Zeros for all that it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0


class Masked(nn.Module):
    """A linear layer with a bias of zeros, and a mask that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)
        self.mask = Mask()
        nn.init.zeros_(self.dense.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(x) + self.mask(x)


def test_what_has_the_numbers_of_a_weight_need_not_be_covered(tmp_path: Path) -> None:
    """A bias of zeros, which exporters drop, is not the mask of zeros that another module makes."""
    torch.manual_seed(0)
    model = Masked().eval()
    graph = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        masked (float[1,{WIDTH}] x) => (float[1,{WIDTH}] y) {{
            y = Gemm <transB = 1> (x, weight)
        }}"""
    )
    weight = numpy_helper.from_array(model.dense.weight.detach().numpy(), "weight")
    graph.graph.initializer.append(weight)
    path = tmp_path / "masked.onnx"
    onnx.save(graph, path)

    covers = truth(model, {"x": torch.randn(1, WIDTH)}, path).covers[NodeKey(MAIN, 0)]

    assert covers.required == {"dense"}
    assert covers.allowed >= covers.required


class Shifted(nn.Module):
    """A linear layer behind an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Tanh()
        self.dense = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.before(x))


def test_a_file_that_was_cut_out_does_nothing_before_what_it_is_given(tmp_path: Path) -> None:
    """Neither what lies before the product that an Add is given, nor before a linear layer's input.

    The bias is read by the linear layer as a whole, too, but that does not start where the Add
    does.
    """
    torch.manual_seed(0)
    model, x = Shifted().eval(), torch.randn(1, WIDTH)
    weight, bias = (t.detach() for t in (model.dense.weight, model.dense.bias))
    product = model.before(x) @ weight.T
    files = {
        "a = Add (given, bias)": product,
        "a = Gemm <transB = 1> (given, weight, bias)": model.before(x),
    }
    for node, given in files.items():
        graph = parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            cut (float[1,{WIDTH}] given) => (float[1,{WIDTH}] a) {{ {node} }}"""
        )
        tensors = {"weight": weight, "bias": bias}
        graph.graph.initializer.extend(
            numpy_helper.from_array(t.numpy(), name) for name, t in tensors.items() if name in node
        )
        path = tmp_path / "cut.onnx"
        onnx.save(graph, path)
        actual = derive_truth(
            observe(path, {"given": given.detach().numpy()}), run_eagerly(model, {"x": x})
        )
        assert actual.covers[NodeKey(MAIN, 0)] == Covers(frozenset({"dense"}), frozenset({"dense"}))
