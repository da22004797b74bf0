"""Inputs that a model runs on: proposals, each tried and changed as the model's errors ask."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelexport.errors import InputsError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.generated.documented import Parameter, documented_parameters
from modelexport.tracer.sources.generated.extents import Extents
from modelexport.tracer.sources.generated.repairs import repaired
from modelexport.tracer.sources.generated.values import likely_shape, make_value
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.transformers_models import ready_for_export
from modelexport.tracer.sources.weightless import fake_weights

_MAX_REPAIRS = 8
"""Maximum number of changes to one proposal."""

Values = dict[str, Any]


def runnable_inputs(model: nn.Module, base: Mapping[str, Any]) -> Values:
    """Inputs that a model of transformers runs on.

    Args:
        model: The model.
        base: Inputs that are likely right: of its tokenizer, or of its main input.

    Raises:
        InputsError: The model runs on none that could be made. The message names the missing
            inputs, with their likely shapes.
    """
    parameters = documented_parameters(model)
    names = " ".join(parameters)
    extents = Extents(model.config, grid="grid_thw" in names)
    first: Exception | None = None
    with (
        evaluation_mode(model),
        ready_for_export(model),
        fake_weights(model) as mode,
        torch.no_grad(),
    ):
        for proposal in _proposals(dict(base), parameters, extents):
            values, error = _settled(model, proposal, parameters, extents, mode)
            if error is None:
                return values
            first = first or error
    raise InputsError(_complaint(model, base, parameters, extents, first)) from first


def _proposals(
    base: Values, parameters: Mapping[str, Parameter], extents: Extents
) -> Iterator[Values]:
    """What to try: the likely inputs, then with all that is required, then with all that is not."""
    tensors = [p for p in parameters.values() if (p.is_tensor and p.is_example) or p.required]
    required = [p for p in tensors if p.required]
    made = {p.name: v for p in required if (v := make_value(p, extents)) is not None}
    proposals = [base, {**base, **made}, {**made, **base}]
    optional = [p for p in tensors if p.axes and "mask" not in p.name and "position" not in p.name]
    more = {p.name: v for p in optional if (v := make_value(p, extents)) is not None}
    proposals.append({**more, **made, **base})
    seen: list[dict[str, tuple[int, ...]]] = []
    for proposal in proposals:
        shapes = {n: tuple(getattr(v, "shape", ())) for n, v in proposal.items()}
        if proposal and shapes not in seen:
            seen.append(shapes)
            yield proposal


def _settled(
    model: nn.Module,
    values: Values,
    parameters: Mapping[str, Parameter],
    extents: Extents,
    mode: FakeTensorMode | None,
) -> tuple[Values, Exception | None]:
    """The inputs as the model takes them in the end; or its last error.

    A model without weights runs under a mode for fake tensors.
    """
    for _ in range(_MAX_REPAIRS):
        try:
            with mode or nullcontext():
                model(**values)
        except Exception as error:  # noqa: BLE001 - models check their inputs in any way
            changed = repaired(error, values, parameters, extents)
            if changed is None:
                return values, error
            values = changed
        else:
            return values, None
    return values, RuntimeError("its inputs were changed too often")


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
