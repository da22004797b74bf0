"""Changing inputs as the error of a model asks for it.

Models check their inputs, and torch checks shapes. The messages name what is missing, or give the
extent that was expected; the frames of the traceback hold the parameters that are None.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from modelexport.tracer.sources.generated.conventions import token_names
from modelexport.tracer.sources.generated.documented import Parameter
from modelexport.tracer.sources.generated.extents import Extents
from modelexport.tracer.sources.generated.missing import absent_parameters, named_parameters
from modelexport.tracer.sources.generated.placeholders import with_placeholders
from modelexport.tracer.sources.generated.ranges import in_range
from modelexport.tracer.sources.generated.reshaping import reshaped
from modelexport.tracer.sources.generated.tensors import Values
from modelexport.tracer.sources.generated.values import make_value, shared_axes

_CONFLICT = re.compile(r"\b(both|only one|exactly (one|1)|either)\b", re.IGNORECASE)


def repairs(
    error: BaseException, values: Values, parameters: Mapping[str, Parameter], extents: Extents
) -> Iterator[Values]:
    """Inputs that differ in what an error complains about, the likeliest first.

    Args:
        error: What the model raised.
        values: The inputs that it got.
        parameters: The parameters of its forward.
        extents: The extents of axes.
    """
    message = " ".join(str(error).split())
    yield from with_placeholders(message, values, extents)
    names = dict.fromkeys(named_parameters(message, values, parameters))
    examples = [name for name in names if parameters[name].is_example]
    yield from _with_parameters(examples, values, parameters, extents)
    if _CONFLICT.search(message):
        for name in values.keys() & set(re.findall(r"\w+", message)):
            if not parameters[name].required:
                yield {n: v for n, v in values.items() if n != name}
    yield from in_range(error, message, values)
    if isinstance(error, RuntimeError):
        yield from reshaped(message, values, extents)
    absent = [n for n in absent_parameters(error, values, parameters) if n not in names]
    yield from _with_parameters(absent, values, parameters, extents)
    if not isinstance(error, RuntimeError):
        yield from reshaped(message, values, extents)
    others = [name for name in names if name not in examples]  # it names them, so it needs them
    yield from _with_parameters(others, values, parameters, extents)


def _with_parameters(
    names: Mapping[str, None] | list[str],
    values: Values,
    parameters: Mapping[str, Parameter],
    extents: Extents,
) -> Iterator[Values]:
    """The inputs with one parameter more, its shape as that of the inputs that it goes with."""
    rows = replace(extents, batch=_rows(values, extents))
    for name in names:
        parameter = replace(parameters[name], required=True)  # the model asks for it
        axes = shared_axes(parameter, values, parameters)
        if (value := make_value(parameter, replace(rows, overrides=axes))) is not None:
            yield {**values, name: value}


def _rows(values: Values, extents: Extents) -> int:
    """The number of rows that the tokens have, or the first tensor if there are none."""
    tensors = [v for v in values.values() if isinstance(v, torch.Tensor) and v.dim()]
    tokens = values.get(token_names()[0], tensors[0] if tensors else None)
    return len(tokens) if isinstance(tokens, torch.Tensor) else extents.batch
