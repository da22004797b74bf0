"""Running a model as it is, and keeping what every call of its modules reads and returns."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from modelexport.errors import UsageError
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import SCALE, SHIFT, ModelValues, WeightSource
from modelexport.support.progress import report_step
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.eager.lazy_modules import initialise_lazy_modules
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.eager.module_values import ModuleValueCollector
from modelexport.tracer.model_preparation import prepared
from modelexport.tracer.records.probe_inputs import replace_uniform_inputs
from modelexport.tracer.sources.scripts import interpret
from modelexport.tracer.sources.signature import Inputs, ModelCall, bind_inputs

EXAMPLE = "the model's example"
"""How the output describes the origin of inputs that the user did not give."""


def run_modules(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    name: str,
    feeds: Mapping[str, Array] | None = None,
    feeds_from: str = EXAMPLE,
) -> ModelValues:
    """Run a model once, and keep the values of all calls of its modules.

    The model is left as it was.

    Args:
        model: Any module with weights.
        example_inputs: As for `trace`.
        name: What the model is called.
        feeds: Arrays by the names of the ONNX inputs, in place of the example inputs.
        feeds_from: Where these come from.

    Raises:
        InputsError: The model cannot run on the inputs.
        UsageError: It has no weights, or none of the arrays is for an input of it.
    """
    model = interpret(model)
    initialise_lazy_modules(model, example_inputs)
    with prepared(model) as mode:
        if mode is not None:
            raise UsageError(f"{name}: it has no weights, so it computes no numbers to compare.")
        call = bind_inputs(model, example_inputs)
        if feeds is None:
            call, _ = replace_uniform_inputs(model, call)
        else:
            call = _with_feeds(call, feeds, name)
        report_step("running the model")
        collector = ModuleValueCollector()
        with collector.watching(model):
            run_model(model, call)
    arrays = {key: to_numpy(tensor) for key, tensor in call.tensors.items()}
    readable = {key: array for key, array in arrays.items() if array is not None}
    return ModelValues(
        *(name, readable, feeds_from, tuple(collector.calls)),
        _weights(model),
        _shared_weights(model),
    )


def _weights(model: nn.Module) -> dict[str, dict[str, WeightSource]]:
    """Functions that return the parameters and buffers of each module, under each of its paths."""
    return {path: _own_weights(m) for path, m in model.named_modules(remove_duplicate=False)}


def _shared_weights(model: nn.Module) -> dict[tuple[str, str], str]:
    """The first module that has a weight, for the weights of others that are the same tensor."""
    first: dict[int, str] = {}
    shared: dict[tuple[str, str], str] = {}
    for path, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            if first.setdefault(id(weight), path) != path:
                shared[path, name] = first[id(weight)]
    return shared


def _own_weights(module: nn.Module) -> dict[str, WeightSource]:
    named = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    weights: dict[str, WeightSource] = {n: partial(to_numpy, t.detach()) for n, t in named}
    if isinstance(module, _BatchNorm) and module.running_mean is not None:
        weights |= {name: partial(_per_channel, module, name) for name in (SCALE, SHIFT)}
    return weights


def _per_channel(norm: _BatchNorm, name: str) -> Array | None:
    """For each channel of a batch norm in evaluation mode: the number it multiplies by, or adds."""
    if norm.running_mean is None or norm.running_var is None:
        return None
    scale = (norm.running_var.detach() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean.detach() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach()
    return to_numpy(scale if name == SCALE else shift)


def _with_feeds(call: ModelCall, feeds: Mapping[str, Array], name: str) -> ModelCall:
    """The call with other numbers for some inputs; all other inputs keep their example values.

    Raises:
        UsageError: The model has no input of the name of an array.
    """
    tensors = {
        key: torch.from_numpy(feeds[key].copy()).to(tensor.dtype) if key in feeds else tensor
        for key, tensor in call.tensors.items()
    }
    if unknown := [key for key in feeds if key not in tensors]:
        raise UsageError(
            f"{name}: it has no input {', '.join(unknown)}; its inputs are {', '.join(tensors)}. "
            "--task chooses what is loaded; a decoder that reads a cache is TASK-with-past."
        )
    return replace(call, tensors=tensors)
