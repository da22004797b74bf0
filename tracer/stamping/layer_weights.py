"""Which tensor of a layer an initializer is, so that another layer's can be put in its place."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from modelexport.hierarchy.fingerprints import Array
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.sources.weightless import has_values
from modelexport.tracer.stamping.equal_runs import Block, EqualRun, constants
from modelexport.tracer.stamping.folded_normalisation import folded_weights
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.sibling_calls import Origin

WeightOf = Callable[[Block], tuple[str | None, Array | None]]
"""The name of a block's parameter that an initializer is, where it is one, and its values; None for
those of a model without weights."""

_Place = tuple[int, Origin]
"""The position of a call in its block, and the origin of a tensor in it."""


def weight_of(name: str, pair: tuple[Array, Array], run: EqualRun) -> WeightOf:
    """How the values of an initializer follow from a block.

    It is a parameter or buffer, or what eager execution computes of these alone: a transposed
    weight, for example. Or it is the weight of a convolution with a normalisation folded into it.
    What is equal for both blocks, and is none of these, is the same for all.

    Args:
        name: Name of the initializer that the template reads.
        pair: Its values, and those of the initializer that the last block reads.
        run: The run of the blocks.

    Raises:
        StampingError: Nothing that the layers compute explains the initializer.
    """
    last = constants(run.last)
    places = [
        place
        for place, tensor in constants(run.template).items()
        if _are_equal(_values(tensor), pair[0]) and _are_equal(_values(last[place]), pair[1])
    ]
    if not places:
        folded = _folded_weight_of(name, pair, run)
        if folded is not None:
            return folded
        if _are_equal(*pair):
            return lambda _: (None, pair[0])
        raise StampingError(f"no parameter explains the initializer {name}")
    _check_alike(name, places, run)
    named = (place for place in places if name == _state_name(run.template, place))
    place = next(named, places[0])
    is_named = name == _state_name(run.template, place)

    def values_of(block: Block) -> tuple[str | None, Array]:
        values = _values(constants(block)[place])
        assert values is not None  # it was so for the template
        return _state_name(block, place) if is_named else None, np.ascontiguousarray(values)

    return values_of


def _folded_weight_of(name: str, pair: tuple[Array, Array], run: EqualRun) -> WeightOf | None:
    """How an initializer with a folded normalisation follows from a block; None if it is none.

    The arguments are those of `weight_of`.
    """
    for position, (call, last) in enumerate(zip(run.template, run.last, strict=True)):
        others = folded_weights(last)
        for origin, array in folded_weights(call).items():
            if _are_equal(array, pair[0]) and _are_equal(others.get(origin), pair[1]):
                return _folded_values_of(name, position, origin, call.path)
    return None


def _folded_values_of(name: str, position: int, origin: Origin, path: str) -> WeightOf:
    """The weight of a convolution in each block, with the normalisation after it.

    Args:
        name: Its name in the template.
        position: The position of the call in its block.
        origin: Where the call has it.
        path: The path of the call in the template.
    """

    def values_of(block: Block) -> tuple[str | None, Array]:
        call = block[position]
        own_name = call.path + name.removeprefix(path) if name.startswith(f"{path}.") else None
        return own_name, np.ascontiguousarray(folded_weights(call)[origin])

    return values_of


def valueless_weight_of(names: tuple[str, str], run: EqualRun) -> WeightOf:
    """How the name of an initializer whose values nobody knows follows from a block.

    Args:
        names: The name that the template reads, and the name that the last block reads.
        run: The run of the blocks.

    Raises:
        StampingError: The initializers are not the same parameter of both blocks.
    """
    for place in constants(run.template):
        if names == (_state_name(run.template, place), _state_name(run.last, place)):
            return lambda block: (_state_name(block, place), None)
    raise StampingError(f"no parameter explains the initializer {names[0]}, which has no values")


def _state_name(block: Block, place: _Place) -> str | None:
    """The name of a parameter or buffer in the model; None for what is computed."""
    position, (kind, name, *_) = place
    return f"{block[position].path}.{name}" if kind == "state" else None


def _check_alike(name: str, places: Sequence[_Place], run: EqualRun) -> None:
    """Check that parameters that may be an initializer have equal values in each block.

    Exporters keep one of several initializers with equal values.

    Raises:
        StampingError: They have not.
    """
    for block in run.stamped:
        tensors = constants(block)
        first, *others = (_values(tensors[place]) for place in places)
        if not all(_are_equal(first, other) for other in others):
            raise StampingError(f"several parameters may be the initializer {name}")


def check_shared_weight(name: str, values: Array, run: EqualRun) -> None:
    """Check that an initializer that both exported blocks read is the same for all.

    Exporters keep one of several initializers with equal values: then it is a parameter of both,
    and the blocks between them may have other values.

    Args:
        name: Its name.
        values: Its values.
        run: The run of the blocks.

    Raises:
        StampingError: A parameter of another block may be it, and has other values.
    """
    last = constants(run.last)
    for place, tensor in constants(run.template).items():
        if _are_equal(_values(tensor), values) and _are_equal(_values(last[place]), values):
            for block in run.stamped:
                if not _are_equal(_values(constants(block)[place]), values):
                    raise StampingError(f"not all layers have the values of {name}")


def _values(tensor: torch.Tensor) -> Array | None:
    return to_numpy(tensor.detach()) if has_values(tensor) else None


def _are_equal(left: Array | None, right: Array | None) -> bool:
    """Whether two arrays have the same type, shape and bits."""
    if left is None or right is None or left.dtype != right.dtype or left.shape != right.shape:
        return False
    a, b = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (left, right))
    return bool(np.array_equal(a, b))
