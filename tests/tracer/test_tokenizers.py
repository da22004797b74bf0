"""Inputs of Hugging Face folders: from their tokenizer if it fits the model, else generated."""

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from modelexport.errors import InputsError
from modelexport.hierarchy.export_config import InputRequest
from modelexport.tracer import record
from modelexport.tracer.sources.example_inputs import folder_inputs
from modelexport.tracer.sources.generated_inputs import generate_inputs
from modelexport.tracer.sources.tokenized_inputs import DEFAULT_TEXT

VOCABULARY = 48
SETTINGS = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
MODEL_TYPES = ["bert", "llama", "gpt_neox", "olmoe", "mamba"]


def _model(model_type: str) -> nn.Module:
    torch.manual_seed(3)
    return AutoModel.from_config(AutoConfig.for_model(model_type, **SETTINGS)).eval()


def _tokenizer(size: int, unused: int = 0) -> PreTrainedTokenizerFast:
    """A tokenizer of words: special ones, those of the text, and unused ones around these."""
    special = ["[PAD]", "[UNK]", "</s>"]
    words = DEFAULT_TEXT.replace(",", " ,").replace(".", " .").split() if size else []
    names = dict.fromkeys([*special, *(f"unused{n}" for n in range(unused)), *words])
    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    named = {"pad_token": special[0], "unk_token": special[1], "eos_token": special[2]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def _nothing(folder: Path) -> None:
    """The folder has no tokenizer; transformers makes one without a vocabulary."""


def _empty(folder: Path) -> None:
    """The vocabulary has nothing but special tokens."""
    _tokenizer(0).save_pretrained(folder)


def _too_large(folder: Path) -> None:
    """The tokenizer makes tokens that the model does not have."""
    _tokenizer(1, unused=VOCABULARY).save_pretrained(folder)


def _broken(folder: Path) -> None:
    """The file of the tokenizer is damaged."""
    (folder / "tokenizer.json").write_text("{")


USELESS = [_nothing, _empty, _too_large, _broken]


@pytest.mark.parametrize("prepare", USELESS)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_without_a_tokenizer_that_fits_inputs_are_generated(
    model_type: str, prepare: Callable[[Path], None], tmp_path: Path
) -> None:
    """They are those that the model's configuration gives, and the model runs on them."""
    model = _model(model_type)
    model.save_pretrained(tmp_path)
    prepare(tmp_path)
    inputs = folder_inputs(str(tmp_path), model, InputRequest(), trust_remote_code=False)
    expected = generate_inputs(model, set(inspect.signature(model.forward).parameters))
    assert expected
    assert inputs.keys() == expected.keys()
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    recorded = record(model, inputs, tmp_path / "r.json", exporter="eager").record
    assert recorded.probe.inputs
    assert all(0 not in probe.shape for probe in recorded.probe.inputs)
    with pytest.raises(InputsError, match="--input-text"):
        folder_inputs(str(tmp_path), model, InputRequest(text="jumps"), trust_remote_code=False)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("text", [None, "the lazy dog"])
def test_a_tokenizer_that_fits_is_used(model_type: str, text: str | None, tmp_path: Path) -> None:
    """The tokens are its own."""
    model = _model(model_type)
    model.save_pretrained(tmp_path)
    _tokenizer(1).save_pretrained(tmp_path)
    inputs = folder_inputs(str(tmp_path), model, InputRequest(text=text), trust_remote_code=False)
    own = AutoTokenizer.from_pretrained(tmp_path)(text or DEFAULT_TEXT)["input_ids"]
    assert len(set(own)) > 2
    assert inputs["input_ids"][0].tolist() == own
