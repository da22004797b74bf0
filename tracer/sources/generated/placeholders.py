"""Placeholders among tokens, for the features of images, videos and sounds."""

import re
from collections.abc import Iterator
from typing import Any

import torch

from modelexport.tracer.sources.generated.conventions import find_setting, placeholder_settings
from modelexport.tracer.sources.generated.extents import LENGTH, Extents

_MESSAGE = re.compile(
    r"(image|video|audio|speech)\w*[^,]*?,?\s*tokens:?\s*(\d+),?\s*\w*\s*features:?\s*(\d+)",
    re.IGNORECASE,
)


def with_placeholders(
    message: str, values: dict[str, Any], extents: Extents
) -> Iterator[dict[str, Any]]:
    """As many placeholders among the tokens as there are features.

    Some models count features, others the numbers in all of them.

    Args:
        message: What the model complains about.
        values: The inputs that it got.
        extents: The extents of axes.

    Yields:
        Inputs; none where the message is about something else, or the model has no placeholder.
    """
    if (match := _MESSAGE.search(message)) is None:
        return
    kind, count = match[1].lower(), int(match[3])
    names = placeholder_settings(kind)
    token = next((t for n in names if (t := find_setting(extents.config, n)) is not None), None)
    tokens = values.get(token_names()[0])
    if not isinstance(token, int) or not isinstance(tokens, torch.Tensor) or not count:
        return
    yield _with_tokens(values, token, count)
    text_config = getattr(extents.config, "get_text_config", lambda: extents.config)()
    width = getattr(text_config, "hidden_size", None)
    if isinstance(width, int) and count % width == 0:
        yield _with_tokens(values, token, count // width)


def _with_tokens(values: dict[str, Any], token: int, count: int) -> dict[str, Any]:
    """The inputs with so many placeholders, in all rows together."""
    ids, mask = token_names()
    tokens = values[ids]
    rows = len(tokens) if count % len(tokens) == 0 else 1
    words = tokens[:rows][tokens[:rows] != token].reshape(rows, -1)[:, :LENGTH]
    row = torch.full((rows, count // rows), token)
    merged = torch.cat([words[:, :1], row, words[:, 1:]], dim=1)
    changed = {**values, ids: merged}
    if mask in values:
        changed[mask] = torch.ones_like(merged)
    for name in values.keys() - {ids, mask}:
        if isinstance(values[name], torch.Tensor) and values[name].shape == tokens.shape:
            changed[name] = (merged == token).long()  # what kind each token is of
    return changed


def token_names() -> tuple[str, str]:
    """The names that transformers' tokenizers give to tokens and to their mask."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    ids, *_, mask = PreTrainedTokenizerBase.model_input_names
    return ids, mask
