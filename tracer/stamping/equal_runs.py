"""Runs of siblings that do the same, one after the other, each on what the one before returned.

Layers of several kinds may take turns: then blocks of as many layers do the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from modelexport.tracer.sources.weightless import has_values
from modelexport.tracer.stamping.sibling_calls import Origin, SiblingCall

Links = tuple[int | None, ...]
"""For each leaf of a call's arguments, which output of the call before it is; None for others."""

Block = tuple[SiblingCall, ...]
"""Calls that follow one another, one of each kind."""

_MIN_STAMPED = 5
"""Minimum number of calls to leave out: fewer are not worth the check."""

_MAX_PERIOD = 8
"""Maximum number of kinds of layers that take turns."""

_EXPORTED_BLOCKS = 3
"""The first two blocks and the last one are exported."""


@dataclass(frozen=True)
class EqualRun:
    """Blocks of calls that do the same, in order. The first two and the last one are exported.

    Attributes:
        blocks: The blocks.
        links: Which arguments of each call are outputs of the one before.
    """

    blocks: tuple[Block, ...]
    links: Links

    @property
    def template(self) -> Block:
        """The calls whose nodes are copied."""
        return self.blocks[1]

    @property
    def stamped(self) -> tuple[Block, ...]:
        """The calls that are not exported."""
        return self.blocks[2:-1]

    @property
    def last(self) -> Block:
        """The calls of the last block, which are exported."""
        return self.blocks[-1]

    def input_names(self, block: Block) -> tuple[str, ...]:
        """The inputs of the model that a block reads, apart from what the first gets as a link."""
        names: list[str] = []
        for call in block:
            arguments = zip(call.input_names, self.links, strict=True)
            names += [name for name, link in arguments if link is None and name is not None]
            names += call.model_inputs
        return tuple(names)

    def own_inputs(self, block: Block) -> dict[str, str]:
        """For inputs of the model that only the template reads, those that a block reads."""
        pairs = zip(self.input_names(self.template), self.input_names(block), strict=True)
        return {own: other for own, other in pairs if own != other}

    def own_outputs(self, block: Block) -> dict[str, str]:
        """For outputs of the model that the template computes, those that a block computes."""
        return {
            name: other.model_outputs[origin]
            for call, other in zip(self.template, block, strict=True)
            for origin, name in call.model_outputs.items()
        }

    @property
    def left_out_outputs(self) -> frozenset[str]:
        """The outputs of the model that the stamped calls compute."""
        return frozenset(
            name for block in self.stamped for name in self.own_outputs(block).values()
        )

    @property
    def passed_on(self) -> tuple[int, ...]:
        """The outputs of a call that the next one gets."""
        return tuple(sorted({link for link in self.links if link is not None}))


def paths(block: Block) -> tuple[str, ...]:
    """The paths of the modules of a block."""
    return tuple(call.path for call in block)


def constants(block: Block) -> dict[tuple[int, Origin], torch.Tensor]:
    """The tensors of the modules of a block, by the position of the call and their origin."""
    return {
        (position, origin): tensor
        for position, call in enumerate(block)
        for origin, tensor in call.constants.items()
    }


def equal_runs(calls: Sequence[SiblingCall]) -> list[EqualRun]:
    """The runs of calls of which some can be left out.

    Args:
        calls: The calls of siblings, in the order in which they began.
    """
    counts = Counter(call.path for call in calls)
    once = [call for call in calls if counts[call.path] == 1]
    once.sort(key=lambda call: call.group)  # stable
    runs: list[EqualRun] = []
    for _, group in groupby(once, key=lambda call: call.group):
        for chain, links in _chains([*group]):
            runs += _runs_of_chain(chain, links)
    return _outermost(runs)


def _chains(calls: Sequence[SiblingCall]) -> Iterator[tuple[Sequence[SiblingCall], Links]]:
    """The longest sequences of calls in which only the next one reads what a call computes."""
    first = 0
    links: Links | None = None
    for index in range(1, len(calls) + 1):
        following = None if index == len(calls) else _links(calls[index - 1], calls[index])
        if following is not None and links in (None, following):
            links = following
            continue
        if links is not None:
            yield calls[first:index], links
        # the last call of one chain may be the first of the next
        first, links = (index, None) if following is None else (index - 1, following)


def _links(before: SiblingCall, call: SiblingCall) -> Links | None:
    """What a call gets from the one before; None where it gets nothing, or others get it too."""
    if not before.is_plain or not before.readers <= {call}:
        return None
    positions = {id(leaf): k for k, leaf in reversed([*enumerate(before.outputs)])}
    own = {id(leaf) for leaf in before.inputs}
    links = tuple(
        positions.get(id(leaf)) if isinstance(leaf, torch.Tensor) and id(leaf) not in own else None
        for leaf in call.inputs
    )
    return links if any(link is not None for link in links) else None


def _runs_of_chain(calls: Sequence[SiblingCall], links: Links) -> Iterator[EqualRun]:
    """The runs in a chain: the one that leaves out most, and those before and after it."""
    best: tuple[int, int, int] | None = None  # calls left out, -period, first call
    for period in range(1, _MAX_PERIOD + 1):
        if best is not None and best[0] >= len(calls) - _EXPORTED_BLOCKS * period:
            break  # longer blocks leave out no more
        first = 0
        for index in range(len(calls)):
            later = index + period
            if later < len(calls) and _do_the_same(calls[index], calls[later], links):
                continue
            stamped = ((index - first) // period + 1 - _EXPORTED_BLOCKS) * period
            if stamped >= _MIN_STAMPED and (best is None or (stamped, -period) > best[:2]):
                best = stamped, -period, first
            first = index + 1
    if best is None:
        return
    stamped, period, first = best[0], -best[1], best[2]
    end = first + stamped + _EXPORTED_BLOCKS * period
    yield from _runs_of_chain(calls[:first], links)
    blocks = tuple(tuple(calls[k : k + period]) for k in range(first, end, period))
    run = EqualRun(blocks, links)
    if _has_uniform_inputs(run) and _has_own_weights(run):
        yield run
    yield from _runs_of_chain(calls[end:], links)


def _do_the_same(call: SiblingCall, other: SiblingCall, links: Links) -> bool:
    """Whether two calls do the same, each on what it gets from the one before."""
    return (
        call.input_spec == other.input_spec
        and call.output_spec == other.output_spec
        and call.ops == other.ops
        and call.output_origins == other.output_origins
        and call.model_outputs.keys() == other.model_outputs.keys()
        and _other_inputs_agree(call, other, links)
        and _constants_agree(call, other)
    )


def _other_inputs_agree(call: SiblingCall, other: SiblingCall, links: Links) -> bool:
    """Whether two calls get the same tensors from elsewhere, or inputs of the model."""
    if len(links) != len(call.inputs):
        return False
    leaves = zip(call.inputs, other.inputs, links, strict=True)
    names = zip(call.input_names, other.input_names, strict=True)
    return all(
        link is not None
        or a is b
        or not (torch.is_tensor(a) or torch.is_tensor(b))
        or (None not in (name_a, name_b) and (a.shape, a.dtype) == (b.shape, b.dtype))
        for (a, b, link), (name_a, name_b) in zip(leaves, names, strict=True)
    )


def _constants_agree(call: SiblingCall, other: SiblingCall) -> bool:
    """Whether parameters have the same shapes, and single numbers the same value.

    An exporter may fold single numbers away, and plain results.
    """
    if call.constants.keys() != other.constants.keys():
        return False
    for origin, tensor in call.constants.items():
        twin = other.constants[origin]
        if tensor.shape != twin.shape or tensor.dtype != twin.dtype:
            return False
        if tensor.numel() == 1 and not _are_equal_numbers(tensor, twin):
            return False
    pairs = zip(call.outputs, other.outputs, strict=True)
    return all(torch.is_tensor(a) or a == b for a, b in pairs)


def _are_equal_numbers(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors of one element are equal; those without values are alike."""
    if has_values(left) and has_values(right):
        return torch.equal(left, right)
    return has_values(left) == has_values(right)


def _has_uniform_inputs(run: EqualRun) -> bool:
    """Whether each input of the model is read by all blocks of a run, or by one of them."""
    names = [run.input_names(block) for block in run.blocks]
    return (
        all(len(set(of_blocks)) in {1, len(of_blocks)} for of_blocks in zip(*names, strict=True))
        and len({*map(len, names)}) == 1
    )


def _has_own_weights(run: EqualRun) -> bool:
    """Whether nothing else reads the weights of a block, except for weights that all blocks share.

    Without the block, what reads them would be exported in another way; and copies of shared
    weights would be more weights than the model has.
    """
    calls = zip(*run.blocks, strict=True)
    return all(
        call.constants[origin] is same_kind[0].constants[origin]
        for same_kind in calls
        for call in same_kind
        for origin in {origin for other in same_kind for origin in other.read_elsewhere}
    )


def _outermost(runs: Sequence[EqualRun]) -> list[EqualRun]:
    """The runs that are not inside of a call of another."""
    inside = tuple(f"{path}." for run in runs for block in run.blocks for path in paths(block))
    return [run for run in runs if not run.blocks[0][0].path.startswith(inside)]
