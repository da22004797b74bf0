"""Choosing the probe inputs: inputs on which different nodes compute different values.

Many example inputs are all zeros or all ones. They are good enough to export a model, but many
nodes compute the same from them. So the probe uses other inputs of the same shape, if the model
accepts them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from modelexport.errors import InputsError, RuntimeFailedError
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.probe_numbers import MAX_SWITCH_SIZE, distinct_integers, mask_flags
from modelexport.support.gc_pause import gc_paused
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.arrays import real_numbers, to_numpy
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.records.graph_values import (
    NOT_REQUESTED,
    GraphValues,
    compute_values,
    graph_feed,
)
from modelexport.tracer.records.value_equality import values_agree
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.sources.weightless import NO_WEIGHTS

_INTEGER_LIMITS = (1 << 15, 1 << 10, 1 << 6, 1 << 3)
"""Limits of integers that are tried in turn: many integers are indices of a table."""

_SEED = 20


@dataclass(frozen=True)
class ProbedExport:
    """An exported graph, and what it computes on the probe inputs.

    Attributes:
        exported: The graph, with notes about the probe.
        call: The call of the model on the probe inputs.
        values: What the graph computes.
    """

    exported: ExportedGraph
    call: ModelCall
    values: GraphValues


@gc_paused()
@one_blas_thread()
def probe_export(
    model: nn.Module, exported: ExportedGraph, call: ModelCall, *, probe: bool
) -> ProbedExport:
    """Compute the values of an exported graph on the probe inputs.

    These are the example inputs, unless most of them are uniform (one value in all elements). Then
    other inputs are used, provided that the graph and the model return the same on them. (A graph
    may be valid for the example inputs only.)

    Args:
        model: The model.
        exported: The graph.
        call: The call of the model on the example inputs.
        probe: Whether to compute values at all.
    """
    missing = NOT_REQUESTED if not probe else NO_WEIGHTS if call.mode is not None else None
    if missing is not None:
        feed = graph_feed(exported.model.graph, call.tensors)
        return ProbedExport(exported, call, GraphValues(feed, missing=missing))
    other_call, replaced = replace_uniform_inputs(model, call)
    if replaced:
        values = _values_or_reason(exported, other_call)
        if values.missing is None and _agrees(exported, values, run_model(model, other_call)):
            note = f"{', '.join(replaced)}: one number throughout, probed on others"
            noted = exported.with_notes(after=(*values.notes, note))
            return ProbedExport(noted, other_call, values)
    values = _values_or_reason(exported, call)
    return ProbedExport(exported.with_notes(after=values.notes), call, values)


def _values_or_reason(exported: ExportedGraph, call: ModelCall) -> GraphValues:
    """The values on the inputs of a call, or why onnxruntime cannot compute them."""
    feed = graph_feed(exported.model.graph, call.tensors)
    try:
        return compute_values(exported, feed)
    except RuntimeFailedError as error:
        return GraphValues(feed, missing=str(error))


def _agrees(
    exported: ExportedGraph, values: GraphValues, outputs: Mapping[str, torch.Tensor]
) -> bool:
    """Whether an exported graph computed the outputs of the model."""
    names = [value.name for value in exported.model.graph.output]
    if len(names) != len(outputs):
        return False
    pairs = [
        (values.first.get((MAIN, name)), to_numpy(tensor))
        for name, tensor in zip(names, outputs.values(), strict=True)
    ]
    comparable = [
        (ours, true)
        for ours, array in pairs
        if ours is not None and array is not None and (true := value_fingerprint(array)) is not None
    ]
    return bool(comparable) and all(values_agree(true, ours) for ours, true in comparable)


def replace_uniform_inputs(model: nn.Module, call: ModelCall) -> tuple[ModelCall, tuple[str, ...]]:
    """Replace inputs that have one value in all elements.

    This happens only when such inputs have most of all elements: a mask of ones next to tokens does
    no harm. Each input gets the first kind of numbers on which the model runs and returns at least
    as large a share of finite numbers as before.

    Args:
        model: The model.
        call: Its call on the example inputs.

    Returns:
        The call, and the names of the inputs that were replaced.
    """
    uniform = [name for name, tensor in call.tensors.items() if _is_uniform(tensor)]
    elements = sum(tensor.numel() for tensor in call.tensors.values())
    if 2 * sum(call.tensors[name].numel() for name in uniform) <= elements:
        return call, ()
    replaced = []
    finite = _finite_share(model, call)
    for name in uniform:
        for tensor in _replacements(call.tensors[name]):
            candidate = call.with_tensor(name, tensor)
            try:
                accepted = _finite_share(model, candidate) >= finite
            except InputsError:
                continue  # an index beyond a table, for example
            if accepted:
                call = candidate
                replaced.append(name)
                break
    return call, tuple(replaced)


def _is_uniform(tensor: torch.Tensor) -> bool:
    """Whether all elements are equal; not of flags, and of inputs too small to matter."""
    if tensor.dtype is torch.bool or tensor.is_quantized:
        return False
    array = real_numbers(tensor)
    if array is None or array.size <= MAX_SWITCH_SIZE:
        return False
    return bool((array == array.reshape(-1)[0]).all())


def _replacements(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Tensors to put in place of a uniform one, the most distinctive first."""
    shape, size = tensor.shape, tensor.numel()
    generator = torch.Generator().manual_seed(_SEED)
    if tensor.is_floating_point():
        yield torch.randn(shape, generator=generator).to(tensor)
        yield torch.rand(shape, generator=generator).to(tensor)
        return
    for limit in _INTEGER_LIMITS:
        numbers = distinct_integers(size, min(limit, torch.iinfo(tensor.dtype).max))
        yield torch.from_numpy(numbers).to(tensor).reshape(shape)
    yield torch.from_numpy(mask_flags(size)).to(tensor).reshape(shape)


def _finite_share(model: nn.Module, call: ModelCall) -> float:
    """The share (0-1) of finite numbers in what a model returns.

    Raises:
        InputsError: The model cannot run.
    """
    arrays = map(real_numbers, run_model(model, call).values())
    outputs = [array for array in arrays if array is not None and array.dtype.kind == "f"]
    finite = sum(int(np.isfinite(array).sum()) for array in outputs)
    return finite / max(1, sum(array.size for array in outputs))
