"""Inputs that were not recorded: arrays of length 0, so that the file runs without them.

A file may take more than the recorded model did, for example a cache of earlier tokens. Such an
input has a dynamic axis, and with length 0 there it holds nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import onnx

_MAX_WAYS = 6
"""Maximum number of ways to choose the extents of dynamic axes; each takes a run of the file."""

Extents = dict[str, int]
"""Extents of dynamic axes by their names."""

Shape = tuple[int, ...]


def axis_names(value: onnx.ValueInfoProto) -> list[int | str]:
    """The extent of each axis of an input; for a dynamic axis its name.

    An axis without a name gets one of its own.
    """
    return [
        dim.dim_value if dim.dim_value > 0 else dim.dim_param or f"{value.name}[{axis}]"
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
    ]


def read_extents(value: onnx.ValueInfoProto, shape: Sequence[int]) -> Extents:
    """The extents of an input's dynamic axes, from the shape of its array."""
    axes = axis_names(value) if value.type.tensor_type.HasField("shape") else []
    pairs = zip(axes, shape, strict=False)
    return {name: extent for name, extent in pairs if isinstance(name, str)}


def can_be_empty(value: onnx.ValueInfoProto, recorded: Mapping[str, int]) -> bool:
    """Whether an input has a dynamic axis whose extent no recorded input tells.

    Args:
        value: The input.
        recorded: The extents that recorded inputs tell.
    """
    return any(isinstance(axis, str) and axis not in recorded for axis in axis_names(value))


def candidate_extents(
    inputs: Iterable[onnx.ValueInfoProto], recorded: Extents, shapes: Iterable[Shape]
) -> Iterator[Extents]:
    """The sensible extents of the axes of inputs that were not recorded, the most likely first.

    An input has length 0 on one dynamic axis. When it has several, the others need the extents
    that the model computes with: recorded values of the same rank and static extents tell these.
    Last, all dynamic axes have length 0.

    Args:
        inputs: The inputs that were not recorded.
        recorded: The extents that recorded inputs tell.
        shapes: Shapes of recorded values.
    """
    axes = [axis_names(value) for value in inputs]
    names = dict.fromkeys(
        n for row in axes for n in row if isinstance(n, str) and n not in recorded
    )
    all_empty = dict.fromkeys(names, 0)
    frequent = [shape for shape, _ in Counter(shapes).most_common()]
    ways: list[Extents] = []
    for row in dict.fromkeys(map(tuple, axes)):
        for extents in _extents_by_shapes(row, recorded, frequent):
            if (way := all_empty | extents) not in ways:
                ways.append(way)
    for way in [*ways[: _MAX_WAYS - 1], all_empty]:
        yield recorded | way


def _extents_by_shapes(
    axes: Sequence[int | str], recorded: Extents, shapes: Iterable[Shape]
) -> Iterator[Extents]:
    """Extents under which an input has a recorded shape, but for one axis of length 0."""
    fixed = [axis if isinstance(axis, int) else recorded.get(axis) for axis in axes]
    open_axes = [n for n, extent in enumerate(fixed) if extent is None]
    if len(open_axes) < 2:
        return
    for shape in shapes:
        if len(shape) != len(axes):
            continue
        if any(e is not None and e != extent for e, extent in zip(fixed, shape, strict=True)):
            continue
        for empty in open_axes:
            yield {str(axes[n]): 0 if n == empty else shape[n] for n in open_axes}
