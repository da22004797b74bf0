"""Whether stamped files equal plain exports, over families of deep models.

    python benchmarks/stamping.py --families "llama,bert" --layers 10

Each model is traced twice, with and without stamping. The files have to have the same operators in
the same order, the same values bit for bit at each output, and the same tags.
"""

import argparse
import inspect
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from modelexport.errors import ModelExportError
from modelexport.tracer import trace
from modelexport.tracer.sources.generated_inputs import generate_inputs
from modelexport.tracer.tracing import TraceResult

WIDTH = 32
TYPES = [
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "olmo2",
    "granite",
    "falcon",
    "mixtral",
    "bert",
    "roberta",
    "albert",
    "distilbert",
    "electra",
    "deberta-v2",
    "mpnet",
    "modernbert",
    "t5",
    "bart",
    "marian",
    "vit",
    "dinov2",
    "beit",
    "deit",
    "convnext",
    "swin",
    "wav2vec2",
    "hubert",
    "whisper",
    "mamba",
]
"""Types of transformers' own configurations."""


class Family(NamedTuple):
    """A model with its example inputs."""

    model: nn.Module
    inputs: Any


def main() -> None:
    """Compare each family and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default="*", help="names or patterns, separated by commas")
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--exporter", default="dynamo")
    options = parser.parse_args()
    print("| family | nodes | stamped | operators | outputs | tags | CPU s plain | stamped |")
    print("|---|---|---|---|---|---|---|---|")
    for name, build in families(options.layers):
        if any(fnmatch(name, pattern) for pattern in options.families.split(",")):
            print(f"| {name} | {compare(build, options.exporter)} |", flush=True)


def families(layers: int) -> Iterator[tuple[str, Callable[[], Family]]]:
    """Names of families, with what builds a model of that many layers."""
    for name in TYPES:
        yield name, lambda name=name: of_transformers(name, layers)
    for build in (linear_stack, encoder_stack, convolution_stack, recurrent_stack, gated_stack):
        yield build.__name__, lambda build=build: build(layers)


def of_transformers(name: str, layers: int) -> Family:
    """A small random model of a type, with inputs that are made for it."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(name)
    sizes = {
        "hidden_size": WIDTH, "d_model": WIDTH, "n_embd": WIDTH, "dim": WIDTH,
        "embedding_size": WIDTH, "word_embed_proj_dim": WIDTH,
        "intermediate_size": 2 * WIDTH, "ffn_dim": 2 * WIDTH, "d_ff": 2 * WIDTH,
        "encoder_ffn_dim": 2 * WIDTH, "decoder_ffn_dim": 2 * WIDTH, "hidden_dim": 2 * WIDTH,
        "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4, "head_dim": 8,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_key_value_heads": 2,
        "d_kv": 8, "vocab_size": 99, "image_size": 32, "patch_size": 8,
        "num_hidden_layers": layers, "n_layer": layers, "n_layers": layers, "num_layers": layers,
        "encoder_layers": layers, "decoder_layers": layers, "num_decoder_layers": layers,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
        "max_source_positions": 16, "num_mel_bins": 8,
    }  # fmt: skip
    values = {key: value for key, value in sizes.items() if key in config.to_dict()}
    if isinstance(getattr(config, "depths", None), list):
        values |= {"depths": [2, layers], "hidden_sizes": [16, 32], "num_heads": [2, 4]}
    values = {key: value for key, value in values.items() if hasattr(config, key)}
    model = AutoModel.from_config(AutoConfig.for_model(name, **values, use_cache=False)).eval()
    return Family(model, generate_inputs(model, forward_parameters(model)))


def forward_parameters(model: nn.Module) -> list[str]:
    """The names of what a model takes."""
    return [*inspect.signature(model.forward).parameters]


class Block(nn.Module):
    """A residual block around some modules."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the modules compute."""
        return x + self.parts(x)


class Gated(nn.Module):
    """A block that takes a second tensor, and returns two."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.rand(WIDTH))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The tensor, gated by the context."""
        gate = torch.sigmoid(self.gate(context)) * (1 + self.scale)
        return x * gate, gate


class GatedStack(nn.Module):
    """Gated blocks, of which each gets the same context."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Gated() for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks."""
        context = x.tanh()
        for block in self.blocks:
            x, _ = block(x, context)
        return x


class LastStep(nn.Module):
    """A recurrent layer without its state."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(WIDTH, WIDTH, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sequence."""
        return self.cell(x)[0]


def linear_stack(layers: int) -> Family:
    """Blocks of linear layers."""
    blocks = [Block(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU()) for _ in range(layers)]
    return Family(nn.Sequential(*blocks).eval(), (torch.rand(2, WIDTH),))


def encoder_stack(layers: int) -> Family:
    """Encoder layers of torch, which have a fast path."""
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, batch_first=True)
    return Family(nn.TransformerEncoder(layer, layers).eval(), (torch.rand(2, 5, WIDTH),))


def convolution_stack(layers: int) -> Family:
    """Blocks of convolutions."""
    blocks = [
        Block(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(layers)
    ]
    return Family(nn.Sequential(nn.Conv2d(3, 8, 1), *blocks).eval(), (torch.rand(1, 3, 12, 12),))


def recurrent_stack(layers: int) -> Family:
    """Recurrent layers."""
    return Family(
        nn.Sequential(*(LastStep() for _ in range(layers))).eval(), (torch.rand(2, 4, WIDTH),)
    )


def gated_stack(layers: int) -> Family:
    """Blocks with two inputs and two outputs."""
    return Family(GatedStack(layers).eval(), (torch.rand(2, WIDTH),))


def compare(build: Callable[[], Family], exporter: str) -> str:
    """The cells of a family's line."""
    try:
        torch.manual_seed(0)
        model, inputs = build()
    except Exception as error:  # noqa: BLE001 - the line says what the library does not build
        return f"not built: {type(error).__name__}: {str(error).splitlines()[0][:80]}"
    for parameter in model.parameters():  # trained ones are not equal to each other
        nn.init.normal_(parameter, 0.1, 0.2)
    with tempfile.TemporaryDirectory() as folder:
        try:
            plain, plain_seconds = traced(
                model, inputs, Path(folder, "plain.onnx"), exporter, False
            )
            stamped, seconds = traced(model, inputs, Path(folder, "stamped.onnx"), exporter, True)
        except ModelExportError as error:
            return f"not traced: {str(error).splitlines()[0][:120]}"
        notes = [note for note in stamped.notes if "stamped out" in note]
        one, other = (onnx.load(result.onnx_path).graph for result in (plain, stamped))
        cells = (
            len(one.node),
            "; ".join(notes) or "no equal layers",
            verdict(Counter(n.op_type for n in one.node) == Counter(n.op_type for n in other.node)),
            verdict(same_outputs(plain, stamped)),
            verdict(Counter((op.op_type, op.module, op.call) for op in plain.record.ops)
                    == Counter((op.op_type, op.module, op.call) for op in stamped.record.ops)),
            f"{plain_seconds:.1f}",
            f"{seconds:.1f}",
        )  # fmt: skip
        return " | ".join(map(str, cells))


def traced(
    model: nn.Module, inputs: Any, path: Path, exporter: str, stamp: bool
) -> tuple[TraceResult, float]:
    """The result of a trace, with the CPU seconds that it took."""
    start = time.process_time()
    result = trace(model, inputs, path, exporter=exporter, stamp=stamp)
    return result, time.process_time() - start


def same_outputs(plain: TraceResult, stamped: TraceResult) -> bool:
    """Whether two files compute the same bits on other inputs than the example inputs."""
    sessions = [
        ort.InferenceSession(result.onnx_path, options(), providers=["CPUExecutionProvider"])
        for result in (plain, stamped)
    ]
    generator = np.random.default_rng(1)
    feed = {}
    for value in sessions[0].get_inputs():
        if value.type == "tensor(float)":
            feed[value.name] = generator.random(value.shape, dtype=np.float32)
        else:
            dtype = np.int32 if value.type == "tensor(int32)" else np.int64
            feed[value.name] = np.ones(value.shape, bool if "bool" in value.type else dtype)
    left, right = (session.run(None, feed) for session in sessions)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


def options() -> ort.SessionOptions:
    """One thread and no optimisations: the order of sums is fixed."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    return settings


def verdict(is_equal: bool) -> str:
    """A cell for a comparison."""
    return "equal" if is_equal else "DIFFER"


if __name__ == "__main__":
    sys.exit(main())
