"""How exactly a file computes what was recorded: full precision, half precision or quantised."""

import math
from dataclasses import dataclass, replace

from modelexport.rewriter.matching.thresholds import (
    EXACT_INFINITY,
    EXACT_TOLERANCE,
    HALF_INFINITY,
    HALF_TOLERANCE,
    MINIMUM_EXACT_SHARE,
    MINIMUM_HALF_RECALL,
    MINIMUM_HALF_SHARE,
)


@dataclass(frozen=True)
class ComparisonMode:
    """How the values of a file are compared with recorded ones.

    Attributes:
        tolerance: Largest difference of order statistics of one value, over the greatest magnitude.
        infinity_threshold: Magnitude from which numbers of the file count as infinite.
        minimum_file_share: Minimum share (0-1) of the file's values that are matched, from which
            a mismatch rejects a pair.
        minimum_record_share: Minimum share (0-1) of the recorded values that are matched, likewise.
        needs_both_shares: Whether both shares must be reached; else one is enough.
    """

    tolerance: float
    infinity_threshold: float
    minimum_file_share: float
    minimum_record_share: float
    needs_both_shares: bool

    def rejects_mismatch(self, file_share: float, record_share: float) -> bool:
        """Whether values that do not match count against a pair.

        They do not if most values of the file are not in the record.

        Args:
            file_share: Share (0-1) of the file's values that are matched.
            record_share: Share (0-1) of the recorded values that are matched.
        """
        reached = (
            file_share >= self.minimum_file_share,
            record_share >= self.minimum_record_share,
        )
        return all(reached) if self.needs_both_shares else any(reached)


FULL_PRECISION = ComparisonMode(
    EXACT_TOLERANCE,
    EXACT_INFINITY,
    minimum_file_share=MINIMUM_EXACT_SHARE,
    minimum_record_share=MINIMUM_EXACT_SHARE,
    needs_both_shares=False,
)
"""The file computes what was recorded; only the order of sums may differ."""

HALF_PRECISION = ComparisonMode(
    HALF_TOLERANCE,
    HALF_INFINITY,
    minimum_file_share=MINIMUM_HALF_SHARE,
    minimum_record_share=MINIMUM_HALF_RECALL,
    needs_both_shares=True,
)
"""The file computes in 16 bits."""

ROUNDED_TO_HALF_PRECISION = replace(HALF_PRECISION, minimum_file_share=MINIMUM_EXACT_SHARE)
"""The same, where weights in 16 bits tell so: a file whose functions were expanded computes more
values than were recorded."""

QUANTISED = ComparisonMode(
    EXACT_TOLERANCE,
    EXACT_INFINITY,
    minimum_file_share=math.inf,
    minimum_record_share=math.inf,
    needs_both_shares=True,
)
"""The file computes in few bits. Order statistics match by exception, and reject nothing."""
