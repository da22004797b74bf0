"""Which tensor of a layer an initializer is, so that another layer's can be put in its place."""

from collections.abc import Callable, Sequence

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.stamping.equal_runs import EqualRun
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.sibling_calls import Origin, SiblingCall

WeightOf = Callable[[SiblingCall], tuple[str | None, Array]]
"""The name of a call's parameter that an initializer is, where it is one, and its values."""


def weight_of(name: str, pair: tuple[Array, Array], run: EqualRun) -> WeightOf:
    """How the values of an initializer follow from a call.

    It is a parameter or buffer, or what eager execution computes of these alone: a transposed
    weight, for example. What is equal for both layers, and is neither, is the same for all.

    Args:
        name: Name of the initializer that the template reads.
        pair: Its values, and those of the initializer that the last layer reads.
        run: The run of the layers.

    Raises:
        StampingError: Nothing that the layer computes explains the initializer.
    """
    origins = [
        origin
        for origin in run.template.constants
        if _are_equal(_values(run.template, origin), pair[0])
        and _are_equal(_values(run.last, origin), pair[1])
    ]
    if not origins:
        if _are_equal(*pair):
            return lambda _: (None, pair[0])
        raise StampingError(f"no parameter explains the initializer {name}")
    origin = _chosen(name, origins, run)
    state = str(origin[1]) if origin[0] == "state" else None
    named = state is not None and name == f"{run.template.path}.{state}"

    def values_of(call: SiblingCall) -> tuple[str | None, Array]:
        values = _values(call, origin)
        assert values is not None  # it was so for the template
        return f"{call.path}.{state}" if named else None, np.ascontiguousarray(values)

    return values_of


def _chosen(name: str, origins: Sequence[Origin], run: EqualRun) -> Origin:
    """The origin that has the initializer's name; else any, if they are equal in each layer.

    Raises:
        StampingError: They are not.
    """
    for origin in origins:
        if origin[0] == "state" and name == f"{run.template.path}.{origin[1]}":
            return origin
    for other in origins[1:]:
        for call in run.stamped:
            if not _are_equal(_values(call, origins[0]), _values(call, other)):
                raise StampingError(f"several parameters may be the initializer {name}")
    return origins[0]


def _values(call: SiblingCall, origin: Origin) -> Array | None:
    return to_numpy(call.constants[origin].detach())


def _are_equal(left: Array | None, right: Array | None) -> bool:
    """Whether two arrays have the same type, shape and bits."""
    if left is None or right is None or left.dtype != right.dtype or left.shape != right.shape:
        return False
    return bool(
        np.array_equal(*(np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in (left, right)))
    )
