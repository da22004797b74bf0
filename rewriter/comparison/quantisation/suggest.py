"""Which modules to leave out of quantisation: the gain of each is measured.

Modules are chosen greedily, each for what it gains on top of those before it. A gain that was
measured in an earlier step is an upper bound in later steps. So only the module with the largest
bound is measured again, until its gain exceeds all other bounds (lazy greedy; Minoux 1978).
"""

import math
from collections.abc import Mapping, Sequence

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.differences import measure_errors
from modelexport.rewriter.comparison.quantisation.switchable_file import SwitchableFile
from modelexport.rewriter.comparison.thresholds import (
    LEAST_GAIN_DB,
    MOST_MEASURED_MODULES,
    MOST_SUGGESTED_MODULES,
)
from modelexport.support.progress import report_step

_NOTHING = 1e-7
"""Error up to which outputs count as equal: what single precision rounds."""

Chosen = tuple[str, float, float]
"""Key of a module, the gain in decibels on top of those before it, and the error that remains."""


class GainMeasurement:
    """Measures the error of the outputs with some modules left out of quantisation.

    Args:
        file: The switchable file.
        exact: The exact outputs, by the names of the quantised file's outputs.
        modules: Keys of the modules that may be left out, those of the largest local error first.

    Attributes:
        modules: Keys of the modules that are measured.
        unmeasured: Keys of those that are not.
        error: The error with nothing left out.
        alone: The gain in decibels of leaving out one module alone, the largest first.
    """

    def __init__(
        self, file: SwitchableFile, exact: Mapping[str, Array], modules: Sequence[str]
    ) -> None:
        self._file, self._exact = file, exact
        switchable = [key for key in modules if key in file.modules]
        self.modules = switchable[:MOST_MEASURED_MODULES]
        self.unmeasured = [key for key in modules if key not in self.modules]
        self.error = self.error_without(())
        gains = {}
        for number, key in enumerate(self.modules):
            report_step(f"leaving out module {number + 1} of {len(self.modules)}")
            gains[key] = decibels(self.error, self.error_without((key,)))
        self.alone = dict(sorted(gains.items(), key=lambda entry: -entry[1]))

    def error_without(self, left_out: Sequence[str]) -> float:
        """The error of the outputs with some modules left out: root of the mean square of all."""
        outputs = self._file.run(left_out)
        squares = [
            measure_errors(array, outputs[name]).distance ** 2
            for name, array in self._exact.items()
        ]
        return math.sqrt(sum(squares) / max(1, len(squares)))

    def choose(self, tolerance: float) -> list[Chosen]:
        """The modules to leave out, in their order.

        Args:
            tolerance: Error of the outputs from which on nothing has to be gained.
        """
        chosen: list[Chosen] = []
        bounds, error = dict(self.alone), self.error
        while bounds and error > tolerance and len(chosen) < MOST_SUGGESTED_MODULES:
            keys = tuple(key for key, _, _ in chosen)
            key, after = self._best(bounds, keys, error)
            gain = decibels(error, after)
            if gain < LEAST_GAIN_DB:
                break
            chosen.append((key, gain, after))
            bounds.pop(key)
            error = after
        return chosen

    def _best(
        self, bounds: dict[str, float], keys: tuple[str, ...], error: float
    ) -> tuple[str, float]:
        """The module that gains most on top of the chosen ones; this updates its bounds."""
        errors: dict[str, float] = {}
        while True:
            key = max(bounds, key=bounds.__getitem__)
            if key in errors:
                return key, errors[key]
            errors[key] = self.error_without((*keys, key))
            bounds[key] = decibels(error, errors[key])


def decibels(before: float, after: float) -> float:
    """By how many decibels an error falls.

    >>> decibels(0.1, 0.01)
    20.0
    """
    return 20 * math.log10(max(before, _NOTHING) / max(after, _NOTHING))
