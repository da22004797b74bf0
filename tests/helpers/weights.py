"""Recorded weights made by hand."""

from collections.abc import Sequence

import numpy as np

from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.record import Tensor
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights


def recorded_by_size(arrays: Sequence[np.ndarray]) -> dict[int, RecordedWeights]:
    """Recorded weights by their size, labelled by their places."""
    by_size: dict[int, list[int]] = {}
    for label, array in enumerate(arrays):
        by_size.setdefault(array.size, []).append(label)
    return {
        size: RecordedWeights(
            labels, [Tensor(str(n), weight=weight_fingerprint(arrays[n])) for n in labels]
        )
        for size, labels in by_size.items()
    }
