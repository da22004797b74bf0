"""Changing inputs as the error of a model asks for it.

Models check their inputs, and torch checks shapes. The messages name what is missing, or give the
extent that was expected; the frames of the traceback hold the parameters that are None.
"""

import linecache
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch

from modelexport.tracer.sources.generated.documented import Parameter
from modelexport.tracer.sources.generated.extents import LENGTH, Extents, find_setting
from modelexport.tracer.sources.generated.values import make_value

Values = dict[str, Any]

_PLACEHOLDERS = re.compile(
    r"(image|video|audio|speech)\w*[^,]*?,?\s*tokens:?\s*(\d+),?\s*\w*\s*features:?\s*(\d+)",
    re.IGNORECASE,
)
_EXTENTS = (
    re.compile(r"to have (?P<want>\d+) channels, but got (?P<got>\d+) channels"),
    re.compile(r"cannot be multiplied \(\d+x(?P<got>\d+) and (?P<want>\d+)x\d+\)"),
    re.compile(r"size \((?P<got>\d+)\*\d+\) doesn't match model \((?P<want>\d+)\*\d+\)"),
    re.compile(r"shape \[\*, (?P<want>\d+)\], but got input of size\s*\[[\d, ]*?(?P<got>\d+)\]"),
    re.compile(r"length (?:to be )?(?P<want>\d+)\b.*?(?:found|got|but)\D*(?P<got>\d+)"),
)  # fmt: skip

_VIEW = re.compile(r"shape '\[-1, ([\d, ]+)\]' is invalid for input of size (\d+)")
_AXES = re.compile(
    r"not enough values to unpack \(expected (\d), got (\d)\)|must be a (\d)D tensor"
)


def repaired(
    error: BaseException, values: Values, parameters: Mapping[str, Parameter], extents: Extents
) -> Values | None:
    """Inputs that differ in what an error complains about; None where it does not say.

    Args:
        error: What the model raised.
        values: The inputs that it got.
        parameters: The parameters of its forward.
        extents: The extents of axes.
    """
    message = " ".join(str(error).split())
    if (match := _PLACEHOLDERS.search(message)) is not None:
        return _with_placeholders(values, match[1].lower(), int(match[3]), extents)
    for name in _missing(error, message, values, parameters):
        rows = replace(extents, batch=_rows(values, extents))
        if (value := make_value(parameters[name], rows)) is not None:
            return {**values, name: value}
    if (match := _VIEW.search(message)) is not None:
        return _with_row_size(values, match[1], int(match[2]))
    if (match := _AXES.search(message)) is not None:
        wanted, present = int(match[1] or match[3]), match[2]
        return _with_axes(values, wanted, int(present) if present else None, extents)
    for pattern in _EXTENTS:
        if (match := pattern.search(message)) is not None:
            return _with_extent(values, int(match["got"]), int(match["want"]))
    return None


def _token_names() -> tuple[str, str]:
    """The names that transformers' tokenizers give to tokens and to their mask."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    ids, *_, mask = PreTrainedTokenizerBase.model_input_names
    return ids, mask


def _rows(values: Values, extents: Extents) -> int:
    """The number of rows that the tokens have."""
    tokens = values.get(_token_names()[0])
    return len(tokens) if isinstance(tokens, torch.Tensor) else extents.batch


def _missing(
    error: BaseException, message: str, values: Values, parameters: Mapping[str, Parameter]
) -> Iterator[str]:
    """The parameters that a model lacks: those it names, and those that were None at the fault."""
    words = re.findall(r"\w+", message)
    yield from (
        n for n in words if n in parameters and n not in values and parameters[n].is_example
    )
    for names, line in _frames(error.__traceback__):
        for name, value in names.items():
            if value is None and name not in values and re.search(rf"\b{name}\b", line):
                for known in (name, *(p for p in parameters if p.endswith(f"_{name}"))):
                    if known in parameters and known not in values:
                        yield known


def _frames(traceback: TracebackType | None) -> list[tuple[dict[str, Any], str]]:
    """The locals and the line of code of each frame, the innermost first."""
    frames = []
    while traceback is not None:
        code = traceback.tb_frame.f_code.co_filename
        line = linecache.getline(code, traceback.tb_lineno)
        frames.append((traceback.tb_frame.f_locals, line))
        traceback = traceback.tb_next
    return frames[::-1]


def _with_placeholders(values: Values, kind: str, count: int, extents: Extents) -> Values | None:
    """As many placeholders among the tokens as there are features of an image, video or sound."""
    names = (f"{kind}_token_id", f"{kind}_token_index", f"{kind}_token")
    token = next((t for n in names if (t := find_setting(extents.config, n)) is not None), None)
    ids, mask = _token_names()
    tokens = values.get(ids)
    if not isinstance(token, int) or not isinstance(tokens, torch.Tensor) or not count:
        return None
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


def _with_extent(values: Values, got: int, want: int) -> Values | None:
    """The inputs with another extent wherever one had it: along the last axis first."""
    if got == want or want > 1 << 16:
        return None
    changed = dict(values)
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and got in value.shape:
            shape = [want if extent == got else extent for extent in value.shape]
            generator = torch.Generator().manual_seed(len(name))
            changed[name] = torch.randn(shape, generator=generator)
    same = all(changed[name] is value for name, value in values.items())
    return None if same else changed


def _with_row_size(values: Values, row: str, size: int) -> Values | None:
    """The input that has this many elements with rows as long as its model splits them up."""
    length = int(torch.tensor([int(extent) for extent in row.split(",")]).prod())
    for name, value in values.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() == size:
            if value.dim() < 2 or value.shape[-1] == length:
                continue
            generator = torch.Generator().manual_seed(len(name))
            shape = (*value.shape[:-1], length)
            return {**values, name: torch.randn(shape, generator=generator)}
    return None


def _with_axes(values: Values, wanted: int, present: int | None, extents: Extents) -> Values | None:
    """The input that has too few axes with one more, of frames, behind its rows."""
    for name, value in values.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        if value.dim() == wanted - 1 and present in {None, value.dim()}:
            frames = int(extents.setting("num_frames") or 2) if value.dim() == 4 else 2
            return {**values, name: torch.stack([value + k / 8 for k in range(frames)], dim=1)}
    return None
