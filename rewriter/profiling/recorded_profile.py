"""What a runtime measured, without modules. All importers return this."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

MICROSECONDS = "us"
CYCLES = "cycles"


def faster_half_mean(times: Sequence[float]) -> float:
    """The mean of the faster half of some times.

    Other work on the machine makes runs slower, never faster, and may last for many of them: the
    slower half tells about it. A mean is finer than the units of the clock, which a median is not.

    >>> faster_half_mean([4, 2, 90, 3, 8])
    3.0
    """
    return fmean(sorted(times)[: (len(times) + 1) // 2])


def nearest_position(times: Sequence[float], reported: float) -> int:
    """The position of the run that is nearest to the reported time.

    >>> nearest_position([4, 2, 90, 3, 8], 3.4)
    3
    """
    return min(range(len(times)), key=lambda position: abs(times[position] - reported))


class Slice(NamedTuple):
    """One execution of a layer.

    Attributes:
        start: When it began, in microseconds.
        duration: How long it took, in microseconds.
        thread: Number of the thread that ran it.
    """

    start: float
    duration: float
    thread: int


@dataclass(frozen=True)
class RecordedLayer:
    """One layer: what the runtime calls a node, a kernel or a fused group of nodes.

    Attributes:
        name: Its name in the profile.
        op_type: Its operator or kind, in the words of the runtime.
        times: Its time in each run, in the unit of the profile. A profile that holds sums only
            has one.
        sources: Names of the ONNX nodes that it runs, as far as the profile has them.
        ends: Names of the first and the last node of a group, where the profile has no others.
        slices: Its executions in one run, where the profile has them.
        predecessors: Names of the layers whose results it reads, where the profile has them.
        provider: What executed it: a provider of onnxruntime, or the name of a kernel.
    """

    name: str
    op_type: str
    times: tuple[float, ...]
    sources: tuple[str, ...] = ()
    ends: tuple[str, str] | None = None
    slices: tuple[Slice, ...] = ()
    predecessors: tuple[str, ...] = ()
    provider: str = ""

    @cached_property
    def time(self) -> float:
        """The mean of the faster half of its times."""
        return faster_half_mean(self.times)

    @property
    def sliced_time(self) -> float:
        """The time of its executions in the run whose executions it has."""
        return sum(execution.duration for execution in self.slices)


@dataclass(frozen=True)
class RecordedProfile:
    """A profile as the runtime recorded it.

    Attributes:
        runtime: Name of the runtime, with its version if the profile has it.
        layers: The layers, in the order of execution.
        runs: Number of runs; 0 where the profile does not say.
        run_times: Time of each whole run; empty when the profile does not have it.
        unit: `us` or `cycles`.
        providers: What the runtime ran on.
        notes: What the user should know about it.
    """

    runtime: str
    layers: tuple[RecordedLayer, ...]
    runs: int
    run_times: tuple[float, ...] = ()
    unit: str = MICROSECONDS
    providers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def run_time(self) -> float | None:
        """The mean of the faster half of the times of whole runs; None where there are none."""
        return faster_half_mean(self.run_times) if self.run_times else None

    @property
    def outside_nodes(self) -> float | None:
        """Time of a run that is spent outside of layers; None where the profile has no runs.

        Each run is looked at by itself: what slows a layer down in one run is no time outside.
        """
        if not self.run_times:
            return None
        times = [layer.times for layer in self.layers]
        if not times or any(len(of_layer) != len(self.run_times) for of_layer in times):
            total = sum(layer.time for layer in self.layers)
            return max(0.0, faster_half_mean(self.run_times) - total)
        inside = map(sum, zip(*times, strict=True))
        runs = zip(self.run_times, inside, strict=True)
        return faster_half_mean([max(0.0, run - layers) for run, layers in runs])

    def with_providers(self, runtime: str, providers: tuple[str, ...]) -> "RecordedProfile":
        """The same, with the name of the runtime and what it ran on."""
        return replace(self, runtime=runtime, providers=providers)


def executed_predecessors(
    reads: Mapping[str, Sequence[str]], executed: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The executed layers that each executed layer reads, directly or through others.

    Args:
        reads: Names of the layers that each layer reads.
        executed: Names of the layers that were executed; a layer that only passes values on or
            holds a constant is not.
    """
    result = {}
    for name in executed:
        predecessors: dict[str, None] = {}
        visited, pending = {name}, list(reads.get(name, ()))
        while pending:
            other = pending.pop()
            if other in executed:
                predecessors[other] = None
            elif other not in visited:
                visited.add(other)
                pending += reads.get(other, ())
        result[name] = tuple(predecessors)
    return result
