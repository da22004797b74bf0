"""Families of deep models: each is built with as many layers as one likes."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from modelexport.tracer.sources.generated_inputs import generate_inputs
from modelexport.tracer.sources.generation.model_parts import step_with_past

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


WITH_PAST = [
    "llama",
    "qwen2",
    "qwen3",
    "mistral",
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "phi",
    "phi3",
]
"""Those of them that are decoders, each also with the cache of the tokens before."""

WITHOUT_WEIGHTS = ["llama", "qwen3", "bert", "vit"]
"""Those of them that are also exported without weights."""


class Family(NamedTuple):
    """A model with its example inputs."""

    model: nn.Module
    inputs: Any


def families(layers: int) -> Iterator[tuple[str, Callable[[], Family]]]:
    """Names of families, with what builds a model of that many layers."""
    for name in TYPES:
        yield name, lambda name=name: of_transformers(name, layers)
    for name in WITH_PAST:
        yield f"{name} with past", lambda name=name: with_past(name, layers)
    for name in WITHOUT_WEIGHTS:
        yield f"{name} without weights", lambda name=name: without_weights(name, layers)
    for build in (linear_stack, encoder_stack, convolution_stack, recurrent_stack, gated_stack):
        yield build.__name__, lambda build=build: build(layers)


def of_transformers(name: str, layers: int) -> Family:
    """A small random model of a type, with inputs that are made for it."""
    model = base_model(name, layers)
    return Family(model, generate_inputs(model, forward_parameters(model)))


def with_past(name: str, layers: int) -> Family:
    """A decoder that reads the cache of the tokens before."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_config(small_config(name, layers)).eval()
    ids = torch.arange(1, 9).reshape(1, 8)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return Family(model, step_with_past(model, inputs).inputs)


def without_weights(name: str, layers: int) -> Family:
    """A model on torch's meta device."""
    _, inputs = of_transformers(name, layers)
    with torch.device("meta"):
        return Family(base_model(name, layers), inputs)


def base_model(name: str, layers: int) -> nn.Module:
    """A small model of a type on the current device."""
    from transformers import AutoModel

    return AutoModel.from_config(small_config(name, layers, use_cache=False)).eval()


def small_config(name: str, layers: int, **options: Any) -> Any:
    """A configuration of a type with few numbers in each layer."""
    from transformers import AutoConfig

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
    return AutoConfig.for_model(name, **values, **options)


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
