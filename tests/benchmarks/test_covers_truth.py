"""The truth of `hierarchy.covers`, on models of a few operators."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper, parser
from torch import nn

from fixtures_gen.truth import truth
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
