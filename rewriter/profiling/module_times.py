"""Times by module: of its own nodes, and of those inside it; with the spread over the runs."""

from collections.abc import Iterable, Sequence

import numpy as np

from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.analysis.module_nesting import ModuleNesting
from modelexport.rewriter.analysis.module_rows import parents_first
from modelexport.rewriter.profiling.join_layers import Charge
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer
from modelexport.rewriter.profiling.results import ModuleTime


def spread_of(times: Sequence[float]) -> float | None:
    """Half of the range in which the middle half of the numbers lie; None for a single one."""
    if len(times) < 2:
        return None
    low, high = np.percentile(times, (25, 75))
    return float(high - low) / 2


def times_by_operator(layers: Iterable[RecordedLayer]) -> dict[str, float]:
    """Sum of the times by operator, the longest first."""
    times: dict[str, float] = {}
    for layer in layers:
        times[layer.op_type] = times.get(layer.op_type, 0.0) + layer.time
    return dict(sorted(times.items(), key=lambda entry: -entry[1]))


def module_times(
    layers: Sequence[RecordedLayer], charges: Sequence[Charge], tagger: Tagger
) -> list[ModuleTime]:
    """A row for each module with nodes, itself or below it; and for the root.

    Args:
        layers: The layers of a profile.
        charges: To which module each is charged.
        tagger: Writes the tags.

    Returns:
        The rows in the model's order, each module followed by those inside it.
    """
    nesting = ModuleNesting(tagger.tree, tagger.resolve, tagger.tag)
    own: dict[str, list[int]] = {}
    inside: dict[str, list[int]] = {nesting.root: []}
    for position, charge in enumerate(charges):
        if charge.module is not None:
            tag = tagger.tag(charge.module)
            own.setdefault(tag, []).append(position)
            for above in nesting.upwards(tag):
                inside.setdefault(above, []).append(position)
    total = sum(layer.time for layer in layers) or 1.0
    depths: dict[str, int] = {}
    rows = []
    for tag in parents_first(nesting):
        parent = nesting.parents.get(tag)
        joined = tag in nesting.joined and parent not in own
        depths[tag] = 0 if parent is None else depths[parent] + (not joined)
        if tag in inside:
            members = [layers[position] for position in inside[tag]]
            shared = [layers[p] for p in inside[tag] if charges[p].covers]
            time = sum(layer.time for layer in members)
            rows.append(
                ModuleTime(
                    tag=tag,
                    path=nesting.modules[tag].path,
                    class_name=nesting.modules[tag].class_name,
                    depth=depths[tag],
                    parent=parent,
                    self_time=sum(layers[p].time for p in own.get(tag, ())),
                    time=time,
                    spread=spread_of_sums(members),
                    share=time / total,
                    shared_time=sum(layer.time for layer in shared),
                    own_nodes=len(own.get(tag, ())),
                    nodes=len(members),
                    op_types=times_by_operator(members),
                )
            )
    return rows


def spread_of_sums(layers: Sequence[RecordedLayer]) -> float | None:
    """The spread of the time of all layers together over the runs."""
    if not layers:
        return None
    return spread_of(np.sum([layer.times for layer in layers], axis=0).tolist())
