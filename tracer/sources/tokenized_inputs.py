"""Inputs that the tokenizer of a Hugging Face folder makes of a text.

transformers makes a tokenizer without a vocabulary where a folder has none, and folders may hold
the tokenizer of a larger model. So a tokenizer is judged by what it makes of a sentence.
"""

from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.generated.conventions import vocabulary_size

DEFAULT_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."
_SECOND_TEXT = "A shorter line."


def tokenize(
    source: str, model: nn.Module, text: str | None, *, trust_remote_code: bool
) -> dict[str, torch.Tensor]:
    """What the tokenizer of a folder makes of a text; nothing without one that fits the model.

    Without a text it gets two sentences of different length, so that tokens, positions and padding
    differ.

    Args:
        source: Folder or hub id.
        model: The model that reads the tokens.
        text: The text; None for the two sentences.
        trust_remote_code: Let the folder run its own code.

    Raises:
        InputsError: There is a text, but no tokenizer that fits.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy, and only some sources need it

    texts = example_texts(text)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
        encoded = _encode(tokenizer, texts)
        problem = _problem(tokenizer, encoded, model)
    except Exception as error:  # noqa: BLE001 - every kind of tokenizer fails in its own way
        encoded, problem = {}, first_line(error, with_type=True)
    if problem is None:
        return encoded
    if text is not None:
        raise InputsError(f"{source}: it has no tokenizer to read --input-text ({problem}).")
    return {}


def example_texts(text: str | None) -> list[str]:
    """The text that the user gives; without one, two sentences of different length."""
    return [DEFAULT_TEXT, _SECOND_TEXT] if text is None else [text]


def _encode(tokenizer: Any, texts: list[str]) -> dict[str, torch.Tensor]:
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return dict(tokenizer(texts, return_tensors="pt", padding=len(texts) > 1))


def _problem(tokenizer: Any, encoded: dict[str, torch.Tensor], model: nn.Module) -> str | None:
    """Why what a tokenizer made is of no use; None when it is."""
    ids = encoded.get(tokenizer.model_input_names[0])
    if ids is None or not set(ids.reshape(-1).tolist()) - set(tokenizer.all_special_ids):
        return "its tokenizer has no vocabulary"
    size = vocabulary_size(model.config)
    if size is not None and int(ids.max()) >= size:
        return f"its tokenizer makes the token {int(ids.max())}, but the model has {size}"
    return None
