"""Runs of a file, made up: what an observer would give for given inputs."""

from collections.abc import Callable, Mapping

from modelexport.errors import RuntimeFailedError
from modelexport.hierarchy.fingerprints import Array, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.execution.observer import Fingerprints

Compute = Callable[[Mapping[str, Array]], Mapping[str, Array]]


class FakeObserver:
    """Computes values in Python, and keeps what it was asked.

    Args:
        compute: The values of the main graph, given the inputs.
        failures: How many runs fail before one works.

    Attributes:
        runs: The inputs and the infinity threshold of each run.
    """

    def __init__(self, compute: Compute, *, failures: int = 0) -> None:
        self.runs: list[tuple[dict[str, Array], float]] = []
        self._compute = compute
        self._failures = failures

    def __call__(self, feeds: Mapping[str, Array], infinity_threshold: float) -> Fingerprints:
        self.runs.append((dict(feeds), infinity_threshold))
        if len(self.runs) <= self._failures:
            raise RuntimeFailedError(f"run {len(self.runs)} failed")
        known = {
            (MAIN, name): value_fingerprint(array, infinity_threshold)
            for name, array in {**feeds, **self._compute(feeds)}.items()
        }
        return {place: value for place, value in known.items() if value is not None}

    @property
    def thresholds(self) -> list[float]:
        """The infinity threshold of each run."""
        return [threshold for _, threshold in self.runs]
