"""Models without weights (on the meta device) are traced, annotated and folded by structure."""

import copy
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from transformers import AutoConfig

from modelexport.errors import ExportFailedError, FileProblem
from modelexport.hierarchy.choices import Inject
from modelexport.rewriter import AnnotateOptions, annotate, strip
from modelexport.tracer import record, trace
from tests.helpers.commands import Run


class _Block(nn.Module):
    """A residual block, whose scale the module reads itself."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.wide = nn.Linear(16, 32)
        self.narrow = nn.Linear(32, 16)
        self.scale = nn.Parameter(torch.rand(16))
        self.register_buffer("shift", torch.rand(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale + self.narrow(torch.relu(self.wide(self.norm(x)))) + self.shift


def _model() -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(_Block(), _Block(), nn.Linear(16, 3)).eval()


def _without_weights() -> nn.Module:
    with torch.device("meta"):
        return copy.deepcopy(_model()).to("meta")


def _inputs() -> tuple[torch.Tensor]:
    return (torch.randn(5, 16, generator=torch.Generator().manual_seed(2)),)


def _references(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of initializers that are external data, by name."""
    initializers = onnx.load(path, load_external_data=False).graph.initializer
    external = filter(onnx.external_data_helper.uses_external_data, initializers)
    return {tensor.name: tuple(tensor.dims) for tensor in external}


def test_the_structure_is_that_with_weights(tmp_path: Path) -> None:
    """Nodes, modules and parameters are those of the model with weights; values are left out."""
    model = _without_weights()
    before = [(name, id(tensor)) for name, tensor in model.state_dict(keep_vars=True).items()]
    bare = trace(model, _inputs(), tmp_path / "bare.onnx", exporter="dynamo")
    assert [(n, id(t)) for n, t in model.state_dict(keep_vars=True).items()] == before
    full = trace(_model(), _inputs(), tmp_path / "full.onnx", exporter="dynamo")
    ops = [[(op.op_type, op.module, op.call) for op in r.record.ops] for r in (bare, full)]
    assert ops[0] == ops[1]
    assert bare.record.modules == full.record.modules
    shapes = {name: tuple(tensor.shape) for name, tensor in _model().state_dict().items()}
    assert _references(bare.onnx_path) == shapes
    assert {tensor.parameter for tensor in bare.record.tensors} >= shapes.keys()
    assert bare.record.probe.missing is not None
    assert not any(op.values for op in bare.record.ops)
    assert not (tmp_path / "bare.onnx.data").exists()


def test_every_node_is_annotated_and_folded(tmp_path: Path) -> None:
    """annotate, fold and strip need no values; a file with weights gets the same modules."""
    bare = trace(_without_weights(), _inputs(), tmp_path / "bare.onnx")
    full = trace(_model(), _inputs(), tmp_path / "full.onnx", exporter="dynamo")
    expected = [(op.op_type, op.module) for op in full.record.ops]
    for name, path in (("bare", bare.onnx_path), ("full", full.onnx_path)):
        report = annotate(path, bare.record, tmp_path / f"{name}.annotated.onnx")
        assert [(d.op_type, d.module) for d in report.decisions] == expected
    functions = AnnotateOptions(inject=(Inject.FUNCTIONS,))
    annotate(bare.onnx_path, bare.record, tmp_path / "folded.onnx", options=functions)
    folded = onnx.load(tmp_path / "folded.onnx", load_external_data=False)
    assert len(folded.functions) > 0
    strip(tmp_path / "bare.annotated.onnx", tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == bare.onnx_path.read_bytes()


def test_an_eager_record_needs_no_weights(tmp_path: Path) -> None:
    """Without an exporter, the operator calls are those of the model with weights."""
    bare, full = (
        record(model, _inputs(), tmp_path / name, exporter="eager").record
        for name, model in (("bare.json", _without_weights()), ("full.json", _model()))
    )
    assert [(op.op_type, op.module) for op in bare.ops] == [
        (op.op_type, op.module) for op in full.ops
    ]
    assert bare.ops


def test_torchscript_needs_weights(tmp_path: Path) -> None:
    """The TorchScript exporter reads values, and says so."""
    with pytest.raises(ExportFailedError, match="no weights"):
        trace(_without_weights(), _inputs(), tmp_path / "m.onnx", exporter="torchscript")


def test_a_file_of_other_weights_is_not_referred_to(tmp_path: Path) -> None:
    """Weights of another model beside the file would be read as those of this one."""
    (tmp_path / "m.onnx.data").write_bytes(b"of another model")
    with pytest.raises(FileProblem, match=r"m\.onnx\.data"):
        trace(_without_weights(), _inputs(), tmp_path / "m.onnx", exporter="dynamo")
    assert not (tmp_path / "m.onnx").exists()


def test_export_does_not_refer_to_other_weights(run: Run, tmp_path: Path) -> None:
    """`export` refuses, too, where weights of another model are beside the file."""
    (tmp_path / "m.onnx.data").write_bytes(b"of another model")
    (tmp_path / "built_bare.py").write_text(
        "import torch\ndef build():\n    return torch.nn.Linear(4, 4), (torch.ones(2, 4),)\n"
    )
    source = f"{tmp_path / 'built_bare.py'}:build"
    result = run("export", source, tmp_path / "m.onnx", "--no-weights")
    assert result.code == 2
    assert "m.onnx.data" in result.err
    assert not (tmp_path / "m.onnx").exists()
    (tmp_path / "m.onnx.data").unlink()
    result = run("export", source, tmp_path / "m.onnx", "--no-weights")
    assert result.code == 0, result.err
    assert _references(tmp_path / "m.onnx") == {"weight": (4, 4), "bias": (4,)}


def test_a_folder_with_a_configuration_is_enough(run: Run, tmp_path: Path) -> None:
    """--no-weights traces a folder without weights; without it, the error names the option."""
    config = AutoConfig.for_model(
        "llama", hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, vocab_size=40,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "folder")
    result = run("trace", tmp_path / "folder", tmp_path / "m.onnx")
    assert result.code == 2
    assert "--no-weights" in result.err
    result = run("trace", tmp_path / "folder", tmp_path / "m.onnx", "--no-weights")
    assert result.code == 0, result.err
    assert _references(tmp_path / "m.onnx")
