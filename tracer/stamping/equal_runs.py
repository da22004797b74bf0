"""Runs of siblings that do the same, one after the other, each on what the one before returned."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from modelexport.tracer.stamping.sibling_calls import SiblingCall
from modelexport.tracer.stamping.siblings import MIN_SIBLINGS

Links = tuple[int | None, ...]
"""For each leaf of a call's arguments, which output of the call before it is; None for others."""


@dataclass(frozen=True)
class EqualRun:
    """Calls that do the same, in order.

    The first two and the last one are exported, the others are stamped out.

    Attributes:
        calls: The calls.
        links: Which arguments of each are outputs of the one before.
    """

    calls: tuple[SiblingCall, ...]
    links: Links

    @property
    def template(self) -> SiblingCall:
        """The call whose nodes are copied."""
        return self.calls[1]

    @property
    def stamped(self) -> tuple[SiblingCall, ...]:
        """The calls that are not exported."""
        return self.calls[2:-1]

    @property
    def last(self) -> SiblingCall:
        """The last call, which is exported."""
        return self.calls[-1]

    @property
    def passed_on(self) -> tuple[int, ...]:
        """The outputs that the next call gets."""
        return tuple(sorted({link for link in self.links if link is not None}))


def equal_runs(calls: Sequence[SiblingCall]) -> list[EqualRun]:
    """The longest runs of calls that can be stamped out.

    Args:
        calls: The calls of siblings, in the order in which they began.
    """
    counts = Counter(call.path for call in calls)
    once = [call for call in calls if counts[call.path] == 1]
    once.sort(key=lambda call: call.group)  # stable
    runs: list[EqualRun] = []
    for _, group in groupby(once, key=lambda call: call.group):
        runs += _runs_of_group([*group])
    return _outermost(runs)


def _runs_of_group(calls: Sequence[SiblingCall]) -> list[EqualRun]:
    runs: list[EqualRun] = []
    first = 0
    links: Links | None = None
    for index in range(1, len(calls) + 1):
        before = calls[index - 1]
        following = None if index == len(calls) else _links(before, calls[index])
        if following is not None and links in (None, following):
            links = following
            continue
        if links is not None and index - first >= MIN_SIBLINGS:
            runs.append(EqualRun(tuple(calls[first:index]), links))
        # the last call of one run may be the first of the next
        first, links = (index - 1, following) if following is not None else (index, None)
    return runs


def _links(before: SiblingCall, call: SiblingCall) -> Links | None:
    """What a call gets from the one before; None where they do not do the same."""
    are_equal = (
        before.is_plain
        and before.input_spec == call.input_spec
        and before.output_spec == call.output_spec
        and before.ops == call.ops
        and before.output_origins == call.output_origins
        and before.readers <= {call}
        and _constants_agree(before, call)
    )
    if not are_equal:
        return None
    positions = {id(leaf): k for k, leaf in reversed([*enumerate(before.outputs)])}
    links: list[int | None] = []
    for own, other in zip(call.inputs, before.inputs, strict=True):
        is_tensor = isinstance(own, torch.Tensor)
        if is_tensor != isinstance(other, torch.Tensor):
            return None
        link = positions.get(id(own)) if is_tensor and own is not other else None
        if is_tensor and own is not other and link is None:
            return None
        links.append(link)
    return tuple(links) if any(link is not None for link in links) else None


def _constants_agree(before: SiblingCall, call: SiblingCall) -> bool:
    """Whether what an exporter may fold away is the same: single numbers, and plain results."""
    for origin, tensor in before.constants.items():
        if tensor.numel() == 1 and not torch.equal(tensor, call.constants[origin]):
            return False
    pairs = zip(before.outputs, call.outputs, strict=True)
    return all(torch.is_tensor(a) or a == b for a, b in pairs)


def _outermost(runs: Sequence[EqualRun]) -> list[EqualRun]:
    """The runs that are not inside of a call of another."""
    paths = [f"{call.path}." for run in runs for call in run.calls]
    return [run for run in runs if not run.calls[0].path.startswith(tuple(paths))]
