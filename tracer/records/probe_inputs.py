"""What an exported graph is probed on: inputs that tell values apart.

Many example inputs are all zeros, or all ones. They export a model as well as any, but what it
computes from them is much the same everywhere. So the probe is made on others of the same shape,
if the model takes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from modelexport.errors import InputsError, RuntimeFailedError
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.probe_numbers import MAX_SWITCH_SIZE, distinct_integers, mask_flags
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.dispatch import numpy_of, run
from modelexport.tracer.exporters.exported import Exported
from modelexport.tracer.records.probing import NOT_ASKED_FOR, Probed, feed_of, probe_values
from modelexport.tracer.records.scope_inference import alike
from modelexport.tracer.sources.signature import Call

_LIMITS = (1 << 15, 1 << 10, 1 << 6, 1 << 3)
"""How far whole numbers are tried to reach: many index a table."""

_SEED = 20


@dataclass(frozen=True)
class ProbedCall:
    """What an exported graph computes, and the call of the model on the same inputs."""

    call: Call
    found: Probed


@one_blas_thread()
def probed(model: nn.Module, exported: Exported, call: Call, *, probe: bool) -> ProbedCall:
    """What an exported graph computes on inputs that tell values apart.

    These are the example inputs, unless some hold one number throughout. Others take their place
    then, if the graph gives back on them what the model does: it may have been made for the
    example alone.
    """
    if not probe:
        feed = feed_of(exported.graph.graph, call.tensors)
        return ProbedCall(call, Probed(feed, missing=NOT_ASKED_FOR))
    other, changed = telling(model, call)
    if changed:
        found = _probed(exported, other)
        if found.missing is None and _gives_back(exported, found, run(model, other)):
            names = ", ".join(changed)
            exported.notes = (*exported.notes, f"{names}: one number throughout, probed on others")
            return ProbedCall(other, found)
    return ProbedCall(call, _probed(exported, call))


def _probed(exported: Exported, call: Call) -> Probed:
    feed = feed_of(exported.graph.graph, call.tensors)
    try:
        return probe_values(exported, feed)
    except RuntimeFailedError as error:
        return Probed(feed, missing=str(error))


def _gives_back(exported: Exported, found: Probed, outputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether an exported graph computed the model's outputs."""
    names = [value.name for value in exported.graph.graph.output]
    if len(names) != len(outputs):
        return False
    pairs = [
        (found.values.get((MAIN, name)), value_fingerprint(numpy_of(tensor)))
        for name, tensor in zip(names, outputs, strict=True)
    ]
    known = [(ours, true) for ours, true in pairs if ours is not None and true is not None]
    return bool(known) and all(alike(true, ours) for ours, true in known)


def telling(model: nn.Module, call: Call) -> tuple[Call, tuple[str, ...]]:
    """The call with other numbers in the inputs that hold the same one throughout.

    Only when they are most of what is fed: a mask of ones beside tokens does no harm. Each gets
    the first kind of numbers on which the model runs and gives back as many that are finite as
    before.

    Returns:
        The call, and the inputs that are others now: none when all of them tell enough, or
        the model takes no others.
    """
    dull = [name for name, tensor in call.tensors.items() if _is_dull(tensor)]
    if 2 * sum(call.tensors[n].numel() for n in dull) <= sum(
        tensor.numel() for tensor in call.tensors.values()
    ):
        return call, ()  # the others tell enough
    changed = []
    finite = _finite(model, call)
    for name in dull:
        for tensor in _others(call.tensors[name]):
            tried = replace(call, tensors=call.tensors | {name: tensor}, outputs=[])
            try:
                good = _finite(model, tried) >= finite
            except InputsError:
                continue  # an index beyond a table, say
            if good:
                call = tried
                changed.append(name)
                break
    return call, tuple(changed)


def _is_dull(tensor: torch.Tensor) -> bool:
    if tensor.numel() <= MAX_SWITCH_SIZE or tensor.dtype is torch.bool or tensor.is_complex():
        return False
    return bool((tensor == tensor.reshape(-1)[0]).all())


def _others(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Numbers to put in place of those of a tensor, the most telling first."""
    shape, size = tensor.shape, tensor.numel()
    generator = torch.Generator().manual_seed(_SEED)
    if tensor.is_floating_point():
        yield torch.randn(shape, generator=generator).to(tensor)
        yield torch.rand(shape, generator=generator).to(tensor)
        return
    for most in _LIMITS:
        numbers = distinct_integers(size, min(most, torch.iinfo(tensor.dtype).max))
        yield torch.from_numpy(numbers).to(tensor).reshape(shape)
    yield torch.from_numpy(mask_flags(size)).to(tensor).reshape(shape)


def _finite(model: nn.Module, call: Call) -> float:
    """Share of what a model gives back that is a finite number.

    Raises:
        InputsError: It does not run.
    """
    made = [t for t in run(model, call) if t.is_floating_point()]
    finite = sum(int(t.isfinite().sum()) for t in made)
    return finite / max(1, sum(t.numel() for t in made))
