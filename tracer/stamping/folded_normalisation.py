"""Weights of convolutions into which an exporter has folded a batch normalisation.

In evaluation, a normalisation after a convolution multiplies each channel by a number and adds
another. Exporters compute new weights of the convolution once. The same is computed here for a
layer that was not exported; it is used where it gives the very bits of the layers that were.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.sources.weightless import has_values
from modelexport.tracer.stamping.sibling_calls import Origin, SiblingCall

_STATISTICS = ("running_mean", "running_var")
_NORMALISATION = frozenset({"input", "weight", "bias", *_STATISTICS})
"""Arguments of the operators that normalise batches, by the names in their schemas."""

_CONVOLUTION = frozenset({"input", "weight", "bias", "stride", "padding", "dilation", "groups"})
"""Arguments of the operators that convolve."""

_EPSILONS = ("eps", "epsilon")


def folded_weights(call: SiblingCall) -> dict[Origin, Array]:
    """The weights and biases of convolutions with the normalisations after them.

    Args:
        call: A call of a layer.

    Returns:
        By the number of the convolution's operator call and the name of the argument:
        `("folded", 3, "weight")`.
    """
    return dict(_folded_weights(call))


def _folded_weights(call: SiblingCall) -> Iterator[tuple[Origin, Array]]:
    for operator, arguments, _ in call.ops:
        norm = _by_name(operator, arguments)
        if not norm.keys() >= _NORMALISATION:
            continue
        origin = norm["input"]
        if origin[0] != "op":
            continue
        convolution = _by_name(*call.ops[origin[1]][:2])
        if convolution.keys() >= _CONVOLUTION:
            for name, array in _folded(call, convolution, norm).items():
                yield ("folded", origin[1], name), array


def _by_name(operator: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The arguments of an operator call by the names in its schema, as a sibling describes them."""
    schema = getattr(operator, "_schema", None)
    if schema is None:
        return {}
    _, (_, *positional), *_ = arguments
    return dict(zip((argument.name for argument in schema.arguments), positional, strict=False))


def _folded(
    call: SiblingCall, convolution: Mapping[str, Any], norm: Mapping[str, Any]
) -> dict[str, Array]:
    """The weight and the bias of a convolution with a normalisation; empty if one is unknown."""
    epsilon = next((norm[name] for name in _EPSILONS if name in norm), None)
    origins = convolution["weight"], *map(norm.get, ("weight", "bias", *_STATISTICS))
    known = [array for origin in origins if (array := _constant(call, origin)) is not None]
    if epsilon is None or len(known) < len(origins):
        return {}
    weight, gamma, beta, mean, variance = known
    bias = _constant(call, convolution["bias"])
    scale = gamma / np.sqrt(variance + float(epsilon[1]))
    is_transposed = convolution.get("transposed", (bool, "False"))[1] == "True"
    channels = [1] * weight.ndim
    channels[1 if is_transposed else 0] = -1
    if weight.shape[channels.index(-1)] != scale.size:
        return {}  # a transposed convolution of several groups
    shift = (np.zeros_like(mean) if bias is None else bias) - mean
    return {"weight": weight * scale.reshape(channels), "bias": shift * scale + beta}


def _constant(call: SiblingCall, origin: Any) -> Array | None:
    tensor = call.constants.get(origin)
    return to_numpy(tensor.detach()) if tensor is not None and has_values(tensor) else None
