"""Inputs that a model runs on: proposals, each tried and changed as the model's errors ask."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelexport.errors import InputsError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.generated.conventions import POSITIONS
from modelexport.tracer.sources.generated.documented import (
    Parameter,
    common_parameter,
    documented_parameters,
)
from modelexport.tracer.sources.generated.extents import Extents, model_extents
from modelexport.tracer.sources.generated.repairs import repairs
from modelexport.tracer.sources.generated.tensors import Values
from modelexport.tracer.sources.generated.values import likely_shape, make_value, shared_axes
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.transformers_models import ready_for_export
from modelexport.tracer.sources.weightless import fake_weights

_MAX_CHANGES = 8
"""Maximum number of changes to one proposal, one after the other."""

_MAX_RUNS = 24
"""Maximum number of runs for one proposal, with all ways to change it."""


def runnable_inputs(
    model: nn.Module, base: Mapping[str, Any], fixed: Collection[str] = ()
) -> Values:
    """Inputs that a model of transformers runs on.

    Args:
        model: The model.
        base: Inputs that are likely right: of its tokenizer, or of its main input.
        fixed: The names of those that stay as they are: the user describes them.

    Raises:
        InputsError: The model runs on none that could be made. The message names the missing
            inputs, with their likely shapes.
    """
    parameters = documented_parameters(model)
    extents = model_extents(model, parameters)
    first: Exception | None = None  # of inputs that are complete, where there are such
    first_is_complete = False
    tried: set[_Form] = set()
    with (
        evaluation_mode(model),
        ready_for_export(model),
        fake_weights(model) as mode,
        torch.no_grad(),
    ):
        fixed_values = {name: base[name] for name in fixed}
        for likely in _proposals(dict(base), parameters, extents):
            proposal = {**likely, **fixed_values}
            for values, error in _trials(
                model, proposal, parameters, extents, mode, tried, fixed_values
            ):
                if error is None:
                    return values
                complete = all(p.name in values for p in parameters.values() if p.required)
                if first is None or (complete and not first_is_complete):
                    first, first_is_complete = error, complete
    raise InputsError(_complaint(model, base, parameters, extents, first)) from first


def _proposals(
    base: Values, parameters: Mapping[str, Parameter], extents: Extents
) -> Iterator[Values]:
    """What to try: the likely inputs, then with all that is required, then with all that is not.

    The likely inputs may be of other shapes than documented ones: both are tried.
    """
    tensors = [p for p in parameters.values() if (p.is_tensor and p.is_example) or p.required]
    required = [p for p in tensors if p.required]
    optional = [p for p in tensors if p.axes and not p.is_mask and not p.name.endswith(POSITIONS)]
    signals = [
        parameters[n] for n, v in base.items()
        if n in parameters and isinstance(v, torch.Tensor) and v.is_floating_point()
    ]  # fmt: skip
    documented = {**base, **_make_values([p for p in signals if p.axes], {}, parameters, extents)}
    needed = _make_values(required, documented, parameters, extents)
    more = _make_values(optional, {**documented, **needed}, parameters, extents)
    usual = [common_parameter(p.name) for p in signals]  # a model may document another form
    others = _make_values([p for p in usual if p.axes], {}, parameters, extents)
    yield from filter(None, [
        base, {**base, **needed}, {**needed, **documented}, documented, {**needed, **base},
        {**more, **needed, **base}, {**more, **needed, **documented}, {**documented, **needed},
        needed, {**needed, **base, **others},
    ])  # fmt: skip


def _make_values(
    targets: Iterable[Parameter],
    others: Values,
    parameters: Mapping[str, Parameter],
    extents: Extents,
) -> Values:
    """Values of parameters; axes of the same name have the same extent as in the other values."""
    values: Values = {}
    for parameter in targets:
        axes = shared_axes(parameter, {**others, **values}, parameters)
        value = make_value(parameter, replace(extents, overrides=axes))
        if value is not None:
            values[parameter.name] = value
    return values


_Form = tuple[tuple[str, tuple[int, ...], str, int], ...]
"""What tells inputs apart: name, shape, type, the sum of whole numbers, the sign of others."""


def _form(values: Values) -> _Form:
    tensors = sorted((n, v) for n, v in values.items() if isinstance(v, torch.Tensor))
    return tuple(
        (n, tuple(v.shape), str(v.dtype), int((v < 0).any() if v.is_floating_point() else v.sum()))
        for n, v in tensors
    )


def _trials(
    model: nn.Module,
    proposal: Values,
    parameters: Mapping[str, Parameter],
    extents: Extents,
    mode: FakeTensorMode | None,
    tried: set[_Form],
    fixed: Values,
) -> Iterator[tuple[Values, Exception | None]]:
    """Runs of the model on a proposal, and on what its errors make of it, depth first.

    A model without weights runs under a mode for fake tensors.

    Yields:
        The inputs of each run, and its error; None where there was none.
    """
    waiting = [(proposal, 0)]
    for _ in range(_MAX_RUNS):
        while waiting and _form(waiting[-1][0]) in tried:
            waiting.pop()
        if not waiting:
            return
        values, changes = waiting.pop()
        tried.add(_form(values))
        try:
            with mode or nullcontext():
                model(**values)
        except Exception as error:  # noqa: BLE001 - models check their inputs in any way
            yield values, error
            if changes < _MAX_CHANGES:
                changed = list(repairs(error, values, parameters, extents))
                waiting += [
                    (other, changes + 1)
                    for other in reversed(changed)
                    if all(other.get(name) is value for name, value in fixed.items())
                ]
        else:
            yield values, None


def _complaint(
    model: nn.Module,
    base: Mapping[str, Any],
    parameters: Mapping[str, Parameter],
    extents: Extents,
    error: Exception | None,
) -> str:
    """What the user is told: each input that is missing, its likely shape, and the option."""
    missing = [p for p in parameters.values() if p.required and p.name not in base]
    hints = []
    for parameter in missing:
        shape = likely_shape(parameter, extents)
        hints.append(f"{parameter.name}={'x'.join(map(str, shape)) if shape else '1x8'}")
    why = "" if error is None else f" ({first_line(error, with_type=True)})"
    names = ", ".join(p.name for p in missing) or "its inputs"
    options = " ".join(f"--input-shape {hint}" for hint in hints) or "--input-shape NAME=1x8"
    return (
        f"{type(model).__name__}: no inputs could be made that it runs on{why}. "
        f"Give {names} with {options}, or let a factory return the module and its inputs."
    )
