"""The inputs of a step with a cache, and the axes along which inputs grow.

Exporters fix an axis of extent 1. So the step that is traced reads as many tokens as steps were
captured: the file then reads one token or many, and with an empty cache a whole prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from modelexport.tracer.sources.generation.captured_calls import Values

ROWS, TOKENS, ENCODER_TOKENS = 1, 3, 5
"""By how much the second example is larger than the first: each axis shows what it depends on."""

BATCH = "batch_size"
TOKEN_AXIS = "sequence_length"  # noqa: S105 - no password
PAST_AXIS = "past_sequence_length"
TOTAL_AXIS = "total_sequence_length"
ENCODER_AXIS = "encoder_sequence_length"

Axes = dict[str, dict[int, str | None]]
Shapes = Mapping[str, Sequence[int]]


def merged_steps(first: Values, steps: Sequence[Values]) -> tuple[Values, dict[str, int]]:
    """One step that reads the tokens of several.

    Args:
        first: The arguments of the run that reads the prompt.
        steps: Those of steps of one token each, in order.

    Returns:
        The arguments, and for each that holds something for each token the axis of the tokens.
    """
    merged: Values = {}
    token_axes: dict[str, int] = {}
    for name, value in steps[0].items():
        values: list[Any] = [step.get(name) for step in steps]
        axis = _token_axis(first.get(name), values)
        if axis is not None:
            merged[name] = torch.cat(values, axis)
            token_axes[name] = axis
        elif isinstance(value, torch.Tensor):
            merged[name] = values[-1]  # a mask of all tokens so far, or the same in each step
        else:
            merged[name] = value  # the cache before these steps
    return merged, token_axes


def _token_axis(prompt: Any, steps: Sequence[Any]) -> int | None:
    """The axis that is as long as the prompt in the first run, and 1 in each step."""
    if not all(isinstance(value, torch.Tensor) for value in (prompt, *steps)):
        return None
    shapes = [tuple(step.shape) for step in steps]
    if len(set(shapes)) > 1 or prompt.dim() != len(shapes[0]):
        return None
    axes = [k for k, extent in enumerate(prompt.shape) if extent != shapes[0][k]]
    return axes[0] if len(axes) == 1 and shapes[0][axes[0]] == 1 else None


def growing_axes(small: Shapes, large: Shapes, names: Mapping[int, str]) -> Axes:
    """The axes that are longer for larger inputs.

    Args:
        small: The shape of each input.
        large: Its shape in the larger example.
        names: The names of axes by the growth; that of rows is always the same.
    """
    names = {**names, ROWS: BATCH}
    axes: Axes = {}
    for name, shape in small.items():
        if name not in large or len(large[name]) != len(shape):
            continue
        growth = {k: large[name][k] - extent for k, extent in enumerate(shape)}
        grown = {k: names.get(more) for k, more in growth.items() if more}
        if grown:
            axes[name] = grown
    return axes


def larger_inputs(
    inputs: Mapping[str, Any], tokens: str, decoder_prefix: str | None
) -> Iterator[Values]:
    """The same inputs with one more row and more tokens; then with only one of both.

    A model may not take another row where images are counted by patches and not by rows.

    Args:
        inputs: Inputs of a model.
        tokens: The name of the tokens.
        decoder_prefix: How the names of the decoder's inputs begin; None where there is no encoder.
    """
    for longer, rows in ((True, ROWS), (False, ROWS), (True, 0)):
        yield {
            name: _enlarged(name, value, inputs, tokens, decoder_prefix, longer=longer, rows=rows)
            for name, value in inputs.items()
        }


def _enlarged(
    name: str,
    value: Any,
    inputs: Mapping[str, Any],
    tokens: str,
    decoder_prefix: str | None,
    *,
    longer: bool,
    rows: int,
) -> Any:
    """One input with more rows and, where it has something for each token, more of those."""
    if not isinstance(value, torch.Tensor) or not value.dim():
        return value
    of_decoder = decoder_prefix is not None and name.startswith(decoder_prefix)
    main = inputs.get(f"{decoder_prefix}{tokens}" if of_decoder else tokens)
    if longer and isinstance(main, torch.Tensor) and value.shape == main.shape and value.dim() > 1:
        more = ENCODER_TOKENS if decoder_prefix is not None and not of_decoder else TOKENS
        value = torch.cat([value, value[:, -more:]], 1)
    return torch.cat([value, value[:rows]])
