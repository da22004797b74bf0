"""The norms over batches that a file computes by themselves, with the modules before them."""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.weights.reference_weights import BatchNorm
from modelexport.rewriter.comparison.weights.weight_numbers import WeightRead, WeightReader

NORM = "BatchNormalization"

_EPSILON = 1e-5
"""What the operator adds to the variance where the node says nothing else."""

_PASSING = {"QuantizeLinear", "DequantizeLinear", "Cast", "Identity", "Reshape", "Transpose"}
"""Operators that may stand between a norm and what it is applied to."""


@dataclass(frozen=True)
class FileNorm:
    """A norm over batches in a file.

    Attributes:
        path: Path of its module.
        before: Paths of the modules whose output it reads.
        channels: What it does to each channel.
    """

    path: str
    before: tuple[str, ...]
    channels: BatchNorm


def find_norms(reader: WeightReader) -> list[FileNorm]:
    """The norms whose nodes work for no other module.

    Args:
        reader: Reads the weights of the file.
    """
    inputs: dict[int, dict[int, WeightRead]] = defaultdict(dict)
    for read in reader.reads:
        operator, index = read.place
        if operator == NORM and len(read.owners) == 1:
            inputs[read.reader][index] = read
    return [
        FileNorm(
            reads[1].owners[0],
            _owners_before(reader, position),
            BatchNorm(
                partial(_scale, reader, position, reads), partial(_shift, reader, position, reads)
            ),
        )
        for position, reads in inputs.items()
        if reads.keys() >= {1, 2, 3, 4}
    ]


def _owners_before(reader: WeightReader, position: int) -> tuple[str, ...]:
    """Paths of the modules whose node computes what a norm reads."""
    graph = reader.graph
    before: int | None = position
    while before is not None and (before == position or graph.nodes[before].op_type in _PASSING):
        names = graph.nodes[before].input
        before = graph.producer.get(names[0]) if names else None
    return () if before is None else reader.owners(before)


def _scale(reader: WeightReader, position: int, reads: dict[int, WeightRead]) -> Array | None:
    """The factors of the channels; None where a weight of the norm is not known."""
    factors, variance = reader.array(reads[1]), reader.array(reads[4])
    if factors is None or variance is None or factors.shape != variance.shape:
        return None
    attributes = {a.name: a.f for a in reader.graph.nodes[position].attribute}
    with np.errstate(all="ignore"):  # a damaged file may have negative variances
        scale: Array = factors / np.sqrt(variance + attributes.get("epsilon", _EPSILON))
    return scale


def _shift(reader: WeightReader, position: int, reads: dict[int, WeightRead]) -> Array | None:
    """The summands of the channels; None where a weight of the norm is not known."""
    scale, summands = _scale(reader, position, reads), reader.array(reads[2])
    mean = reader.array(reads[3])
    if scale is None or summands is None or mean is None:
        return None
    if not scale.shape == summands.shape == mean.shape:
        return None
    with np.errstate(all="ignore"):
        shift: Array = summands - mean * scale
    return shift
