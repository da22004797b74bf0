"""Placeholders among tokens, for the features of images, videos and sounds."""

import re
from collections.abc import Iterator
from typing import Any

import torch

from modelexport.tracer.sources.generated.conventions import MAIN_INPUTS, placeholder, token_names
from modelexport.tracer.sources.generated.extents import LENGTH, Extents

_MESSAGE = re.compile(r"(\w+) features .*?tokens:?\s*\d+,?\s*features:?\s*(\d+)", re.IGNORECASE)


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
    kind, count = match[1].lower(), int(match[2])
    kinds = [kind] if kind in MAIN_INPUTS else [*MAIN_INPUTS]  # "multimodal" may be any
    placeholders = [t for k in kinds if isinstance(t := placeholder(extents.config, k), int)]
    if not isinstance(values.get(token_names()[0]), torch.Tensor) or not count:
        return
    text_config = getattr(extents.config, "get_text_config", lambda: extents.config)()
    width = getattr(text_config, "hidden_size", None)
    for token in placeholders:
        yield _with_tokens(values, token, count)
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
