"""Images as rows of patches, with a grid that says how many of them each image has."""

from collections.abc import Iterator

from modelexport.tracer.sources.generated.extents import Extents
from modelexport.tracer.sources.generated.tensors import (
    MAX_EXTENT,
    Values,
    floating,
    random_tensor,
    whole,
)


def as_patches(values: Values, want: int, extents: Extents) -> Iterator[Values]:
    """Images as rows of patches, each of as many numbers as the model multiplies."""
    count = _cells(values)
    for name, tensor in floating(values).items():
        if tensor.dim() not in {4, 5} or want > MAX_EXTENT:
            continue
        if 0 < count <= MAX_EXTENT:
            yield {**values, name: random_tensor(name, (count, want))}
        yield {**values, name: random_tensor(name, (len(tensor), extents.patches**2, want))}


def as_cells(values: Values, one: int, other: int) -> Iterator[Values]:
    """Images as a patch for each cell of their grids, where the model cuts them into too many."""
    count = _cells(values)
    if not count or count not in {one, other}:
        return
    patches = one if other == count else other
    for name, tensor in floating(values).items():
        if tensor.dim() in {4, 5} and patches > 0 == tensor.numel() % patches:
            yield {**values, name: random_tensor(name, (count, tensor.numel() // patches))}


def _cells(values: Values) -> int:
    """The number of patches in the grids of all images; 0 where no input gives grids."""
    grids = [v for v in whole(values).values() if v.dim() == 2 and v.shape[1] in {2, 3}]
    return sum(int(row.prod()) for row in grids[0]) if grids else 0
