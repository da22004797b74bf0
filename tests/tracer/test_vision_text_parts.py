"""Models that read images beside text, as parts: the encoder of the image is a file of its own."""

import inspect
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from fixtures_gen.registry import randomized
from modelexport.errors import InputsError
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import read_part_manifest
from modelexport.hierarchy.record import read_record
from modelexport.tracer import load
from modelexport.tracer.sources.generated_inputs import generate_inputs
from modelexport.tracer.sources.generation.captured_calls import capture_generation
from modelexport.tracer.sources.generation.prompt_encoder import find_prompt_encoder
from modelexport.tracer.sources.signals import with_signal
from tests.helpers.generating_models import GeneratingModels
from tests.helpers.generation import (
    MASK,
    TOKENS,
    generated_by_parts,
    generated_by_transformers,
)

COUNT = 6
"""Tokens that are generated."""

TOKEN_IDS = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip
IMAGE = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": 8, "patch_size": 4,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "llava": {
        "vision_config": {"model_type": "clip_vision_model", **IMAGE},
        "text_config": {"model_type": "llama", **TEXT, **TOKEN_IDS},
        "image_token_index": 60,
        "image_token_id": 60,
        "vision_feature_layer": -1,
    },
    "git": {"vision_config": IMAGE, **TEXT, **TOKEN_IDS},
    "qwen2_vl": {
        "vision_config": {
            "depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2,
            "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        "text_config": {
            **TEXT, **TOKEN_IDS, "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]},
        },
        "image_token_id": 60, "video_token_id": 61, "vision_start_token_id": 58,
        "vision_end_token_id": 59,
    },
}  # fmt: skip
SEVERAL_IMAGES = {
    "vision_config": IMAGE,
    "text_config": {"model_type": "llama", **TEXT, **TOKEN_IDS},
    "image_token_id": 60,
    "scale_factor": 2,
    "pad_token_id": 0,
}


def image_model(name: str) -> nn.Module:
    """A tiny model that reads an image beside text."""
    config = AutoConfig.for_model(name, **MODELS[name])
    return AutoModelForImageTextToText.from_config(config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> GeneratingModels:
    return GeneratingModels(tmp_path_factory.mktemp("vision-text"), image_model)


def prompt(model: nn.Module, inputs: Any) -> dict[str, torch.Tensor]:
    """Tokens with padding on the left, and an image."""
    made = with_signal(model, inputs)
    made[MASK] = torch.ones_like(made[MASK])
    made[MASK][-1, 0] = 0
    return made


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_generate_what_the_model_generates(folders: GeneratingModels, name: str) -> None:
    """For two images: the encoder runs once, and what it gives is what the decoder reads."""
    loaded = load(str(folders.model(name)))
    inputs = prompt(loaded.model, loaded.inputs)
    negative = {n: -value if value.is_floating_point() else value for n, value in inputs.items()}
    results = []
    for given in (inputs, negative):
        expected = generated_by_transformers(loaded.model, given, COUNT).tolist()
        assert generated_by_parts(folders.parts(name), given, COUNT).tolist() == expected
        results.append(expected)
    assert results[0] != results[1]


@pytest.mark.parametrize("name", MODELS)
def test_the_image_has_a_part_of_its_own(folders: GeneratingModels, name: str) -> None:
    """The encoder reads only the image; nodes of its modules are in no other part."""
    folder = folders.parts(name)
    manifest = read_part_manifest(folder)
    loaded = load(str(folders.model(name)))
    signals = {n for n, v in prompt(loaded.model, loaded.inputs).items() if v.is_floating_point()}
    encoder, *decoders = manifest.parts
    assert [part.role for part in manifest.parts] == list(PartRole)
    assert {value.name for value in encoder.inputs} == signals
    assert not signals & {value.name for part in decoders for value in part.inputs}
    ends = {(part.role, value.name) for part in manifest.parts for value in part.inputs}
    assert {(wire.target, wire.input) for wire in manifest.connections} <= ends
    wires = [c for c in manifest.connections if c.source == encoder.role]
    assert [c.target for c in wires] == [PartRole.DECODER]
    records = [read_record(folder / part.record) for part in manifest.parts]
    tree = {path for path, _ in loaded.model.named_modules(remove_duplicate=False)}
    assert [{module.path for module in record.modules} for record in records] == [tree] * 3
    of_encoder, *others = ({op.module for op in record.ops} - {"", None} for record in records)
    leaves = {m for m in of_encoder if not any(o.startswith(f"{m}.") for o in of_encoder)}
    assert leaves
    assert [leaves & modules for modules in others] == [set(), set()]


def test_images_with_an_axis_and_a_mask_of_their_own() -> None:
    """The image is found with the axis that counts images, and nothing that is not needed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = AutoConfig.for_model("idefics3", **SEVERAL_IMAGES)
        model = randomized(AutoModelForImageTextToText.from_config(config))
    text = generate_inputs(model, {TOKENS, MASK})
    inputs = with_signal(model, text)
    (image,) = inputs.keys() - text.keys()
    assert inputs[image].dim() == 5
    small = capture_generation(model, prompt(model, inputs))
    encoder = find_prompt_encoder(model, small.prompt_run(), small.runs[1])
    assert encoder is not None
    assert set(encoder.signals) >= {image}


def test_a_model_that_generates_by_an_inner_module() -> None:
    """The error says that its own loop of generation is another one."""
    settings = {
        "vision_config": IMAGE,
        "qformer_config": {**TEXT, "encoder_hidden_size": IMAGE["hidden_size"]},
        "text_config": {
            "model_type": "opt", **TEXT, **TOKEN_IDS, "ffn_dim": 48, "word_embed_proj_dim": 32,
            "max_position_embeddings": 64,
        },
        "num_query_tokens": 4,
    }  # fmt: skip
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model("blip-2", **settings))
    inputs = generate_inputs(model, set(inspect.signature(model.forward).parameters))
    with pytest.raises(InputsError, match="a `generate` of its own"):
        capture_generation(model.eval(), inputs)


def test_a_model_that_keeps_the_image_is_not_divided() -> None:
    """Where the decoder needs more of the first run than the last call returned, it stays whole."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower, self.bridge, self.head = (nn.Linear(4, 4) for _ in range(3))

        def forward(
            self, tokens: torch.Tensor, image: torch.Tensor | None = None, *, skip: bool = True
        ) -> torch.Tensor:
            if image is not None:
                seen = self.tower(image)
                tokens = tokens + self.bridge(seen) + (seen if skip else 0)
            return self.head(tokens)

    net = Net()
    first = {"tokens": torch.randn(2, 4), "image": torch.randn(2, 4)}
    for skip in (True, False):
        run = {**first, "skip": skip}
        actual = find_prompt_encoder(net, run, {"tokens": first["tokens"], "skip": skip})
        assert (actual is None) == skip
    assert actual is not None
    assert [module for module, _ in actual.calls] == [net.tower, net.bridge]
