"""Weights that a related model has and the recorded model lacks: of an adapter or another head."""

import itertools
from collections.abc import Collection, Mapping

from modelexport.rewriter.matching.thresholds import MOST_PART_SIZES, MOST_SPLIT_PARTS


def find_new_weights(unmatched: Mapping[int, int], missing: Collection[int]) -> frozenset[int]:
    """Weights that cannot be another form of a recorded weight.

    An optimiser that folds numbers into a weight, merges weights or splits one takes the recorded
    weights out of the file. Where no recorded weight of a fitting size is missing, nothing was
    folded: the weight is new.

    Args:
        unmatched: Distinctive weights that hold no recorded numbers, to their number of elements.
        missing: Numbers of elements of the recorded weights that the file lacks.
    """
    sizes = sorted(set(missing))[:MOST_PART_SIZES]
    counts = range(1, MOST_SPLIT_PARTS + 1)
    merged = {
        sum(parts)
        for count in counts
        for parts in itertools.combinations_with_replacement(sizes, count)
    }
    split = {size // count for size in sizes for count in counts if size % count == 0}
    return frozenset(value for value, size in unmatched.items() if size not in merged | split)
