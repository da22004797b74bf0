"""Models of transformers, so small that they run in milliseconds."""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from fixtures_gen.registry import Built, fixture

BATCH = 2
LENGTH = 9
VOCABULARY = 64
IMAGE = 32


@fixture("transformers")
def bert() -> Built:
    """An encoder with a pooler."""
    return build(AutoModel, "bert", **_ENCODER, max_position_embeddings=16), text()


@fixture("transformers")
def gpt2() -> Built:
    """A decoder with fused query, key and value, and a head tied to the embedding."""
    settings = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 16}
    return build(AutoModelForCausalLM, "gpt2", **settings), text()


@fixture("transformers")
def llama() -> Built:
    """A decoder with rotary positions, grouped heads and a gated feed-forward."""
    settings = {**_ENCODER, "num_key_value_heads": 2, "max_position_embeddings": 16}
    return build(AutoModelForCausalLM, "llama", **settings), text()


@fixture("transformers")
def vit() -> Built:
    """A vision transformer that reads patches of images."""
    return build(AutoModel, "vit", **_ENCODER, image_size=IMAGE, patch_size=8), image()


@fixture("transformers")
def resnet() -> Built:
    """Convolutions, batch norms and shortcuts."""
    settings: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}
    return build(AutoModel, "resnet", **settings), image()


@fixture("transformers")
def t5() -> Built:
    """An encoder and a decoder that share one embedding module."""
    settings = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    model = build(AutoModelForSeq2SeqLM, "t5", **settings)
    decoder = {f"decoder_{name}": value for name, value in text(start=30).items()}
    return model, {**text(), **decoder}


@fixture("transformers")
def whisper() -> Built:
    """Speech to text: convolutions, an encoder, and a decoder with cross attention."""
    sides = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {"layers": 2, "attention_heads": 4, "ffn_dim": 48}.items()
    }
    positions = {"max_source_positions": 12, "max_target_positions": 16, "num_mel_bins": 10}
    model = build(AutoModel, "whisper", **sides, **positions, **_SPECIAL_TOKENS, d_model=32)
    decoder = {f"decoder_{name}": value for name, value in text().items()}
    return model, {"input_features": torch.randn(BATCH, 10, 24), **decoder}


@fixture("transformers")
def clip() -> Built:
    """Two encoders, one for text and one for images."""
    words = {**_ENCODER, **_SPECIAL_TOKENS, "max_position_embeddings": 16}
    words["vocab_size"] = VOCABULARY
    pictures = {**_ENCODER, "image_size": IMAGE, "patch_size": 8}
    model = build(AutoModel, "clip", text_config=words, vision_config=pictures, projection_dim=24)
    return model, {**text(), **image()}


@fixture("transformers")
def mixtral() -> Built:
    """A decoder with a mixture of experts."""
    settings = {**_ENCODER, "num_key_value_heads": 2, "max_position_embeddings": 16}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    return build(AutoModelForCausalLM, "mixtral", **settings, **experts), text()


@fixture("transformers")
def gemma3() -> Built:
    """A decoder with local and global attention, and norms on queries and keys."""
    settings = {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}
    model = build(AutoModelForCausalLM, "gemma3_text", **settings, max_position_embeddings=16)
    return model, text()


_SPECIAL_TOKENS: dict[str, Any] = {
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}

_ENCODER: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def text(start: int = 8) -> dict[str, torch.Tensor]:
    """Distinct tokens, and a mask that hides the end of the last row."""
    tokens = (torch.randperm(BATCH * LENGTH) + start).reshape(BATCH, LENGTH)
    mask = torch.ones_like(tokens)
    mask[-1, -LENGTH // 4 :] = 0
    return {"input_ids": tokens, "attention_mask": mask}


def image() -> dict[str, torch.Tensor]:
    """Two random images."""
    return {"pixel_values": torch.randn(BATCH, 3, IMAGE, IMAGE)}


def build(auto: Any, model_type: str, **settings: Any) -> nn.Module:
    """A model with random weights that returns no caches.

    Args:
        auto: The class of transformers that builds it, `AutoModel` for example.
        model_type: Name of the architecture.
        settings: What its configuration sets.
    """
    if "vocab_size" in AutoConfig.for_model(model_type).to_dict():
        settings["vocab_size"] = VOCABULARY
    config = AutoConfig.for_model(model_type, **settings)
    for part in (config, *(c for c in vars(config).values() if hasattr(c, "use_cache"))):
        part.use_cache = False
    model: nn.Module = auto.from_config(config)
    for module in model.modules():
        if hasattr(getattr(module, "config", None), "use_cache"):
            module.config.use_cache = False  # type: ignore[union-attr]
    return model
