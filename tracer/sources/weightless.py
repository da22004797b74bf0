"""Models without weights: their parameters are on torch's *meta* device, which holds no values.

Such a model is run on *fake* tensors: these have a shape, a type and a device, but no memory. They
pretend to be on the CPU, so that the model takes the same branches as with weights.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from modelexport.tracer.sources.signature import ModelCall

NO_WEIGHTS = "the model has no weights"
"""Why a record has no fingerprints of values."""


@contextmanager
def fake_weights(model: nn.Module) -> Iterator[FakeTensorMode | None]:
    """Put fake tensors in the place of all meta tensors of a model while the body runs.

    Yields:
        The mode under which the model runs on fake tensors; None for a model without meta tensors,
        which is left alone.
    """
    if not any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
        yield None
        return
    originals = [(state, dict(state)) for state in _states(model)]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    log = logging.getLogger(FakeTensorMode.__module__)
    was_disabled = log.disabled
    fakes: dict[int, torch.Tensor] = {}
    try:
        for state, original in originals:
            for name, tensor in original.items():
                if tensor is not None and tensor.is_meta:
                    state[name] = fakes.setdefault(id(tensor), _fake(mode, tensor))
        log.disabled = True  # it prints the traceback of an error that is caught and reported
        yield mode
    finally:
        log.disabled = was_disabled
        for state, original in originals:
            state.update(original)


def on_fake_tensors(call: ModelCall, mode: FakeTensorMode | None) -> ModelCall:
    """The same call on fake tensors; the call itself without a mode."""
    if mode is None:
        return call
    fakes = {name: _fake(mode, tensor) for name, tensor in call.tensors.items()}
    return replace(call, tensors=fakes, mode=mode)


def has_values(tensor: object) -> bool:
    """Whether a tensor has values, and not only a shape and a type."""
    return isinstance(tensor, torch.Tensor) and not (
        isinstance(tensor, FakeTensor) or tensor.is_meta
    )


def _states(model: nn.Module) -> Iterator[dict[str, torch.Tensor | None]]:
    """The dictionaries in which modules keep their parameters and buffers."""
    for module in model.modules():
        yield module._parameters  # type: ignore[misc]
        yield module._buffers


def _fake(mode: FakeTensorMode, tensor: torch.Tensor) -> torch.Tensor:
    """A fake tensor on the CPU with the shape, type and strides of a tensor."""
    with mode:
        fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(fake, tensor.requires_grad) if is_parameter else fake
