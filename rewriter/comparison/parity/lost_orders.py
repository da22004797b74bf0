"""Outputs of modules whose numbers the file has in another order, which no later value restores.

Another order of the axes is a layout and no error. Any other order is accepted only if a value that
is computed from the output, or the module around it, has its numbers in the right places again.
"""

from collections.abc import Iterator, Sequence

from modelexport.hierarchy.module_tree import is_within
from modelexport.hierarchy.module_values import ModuleValues
from modelexport.rewriter.comparison.parity.find_values import Match
from modelexport.rewriter.comparison.parity.module_rows import OutputPair


def find_lost_orders(
    calls: Sequence[ModuleValues], pairs: Sequence[Sequence[OutputPair]]
) -> list[tuple[int, int, Match]]:
    """The outputs whose order is lost.

    Args:
        calls: The calls of modules, in the order in which they returned.
        pairs: The outputs of each call, with the values of the file that match them.

    Returns:
        For each such output the position of its call, its position among the outputs of the call,
        and its match.
    """
    orders: list[tuple[int, int, Match]] = []
    restored: set[int] = set()
    readers = _readers(calls)
    for index in reversed(range(len(calls))):
        matches = [match for _, match in pairs[index]]
        lost = [
            (index, position, match)
            for position, match in enumerate(matches)
            if match is not None and match.layout == ""
        ]
        after = [*readers.get(index, ()), *_around(calls, index)]
        if any(matches) and (not lost or restored.intersection(after)):
            restored.add(index)
        else:
            orders += lost
    return orders


def _readers(calls: Sequence[ModuleValues]) -> dict[int, list[int]]:
    """The calls that read what each call returned."""
    readers: dict[int, list[int]] = {}
    for index, call in enumerate(calls):
        for source in {source for sources in call.sources for source in sources}:
            readers.setdefault(source, []).append(index)
    return readers


def _around(calls: Sequence[ModuleValues], index: int) -> Iterator[int]:
    """The calls, after a call, of the modules around it."""
    path = calls[index].path
    for later in range(index + 1, len(calls)):
        other = calls[later].path
        if other != path and is_within(path, other):
            yield later
