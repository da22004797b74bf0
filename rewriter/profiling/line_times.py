"""Times by line of Python: of the nodes that a line is behind."""

from collections.abc import Collection, Sequence

from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.profiling.join_layers import Charge
from modelexport.rewriter.profiling.module_times import spread_of_sums, times_by_operator
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer
from modelexport.rewriter.profiling.results import LineTime


def line_times(
    layers: Sequence[RecordedLayer],
    charges: Sequence[Charge],
    tagger: Tagger,
    tags: Collection[str] | None = None,
) -> list[LineTime]:
    """A row for each line of Python that a layer is charged to, the longest time first.

    Args:
        layers: The layers of a profile.
        charges: To which module and line each is charged.
        tagger: Writes the tags.
        tags: Only layers of these modules; None for all layers.

    Returns:
        The rows; none where no layer has a line.
    """
    total = sum(layer.time for layer in layers) or 1.0
    by_line: dict[str, list[int]] = {}
    for position, charge in enumerate(charges):
        if tags is None or (charge.module is not None and tagger.tag(charge.module) in tags):
            by_line.setdefault(charge.lines[0] if charge.lines else "", []).append(position)
    if not by_line.keys() - {""}:
        return []
    rows = []
    for line, positions in by_line.items():
        members = [layers[position] for position in positions]
        shared = [layers[position] for position in positions if len(charges[position].lines) > 1]
        time = sum(layer.time for layer in members)
        rows.append(
            LineTime(
                line=line,
                time=time,
                spread=spread_of_sums(members),
                share=time / total,
                shared_time=sum(layer.time for layer in shared),
                nodes=len(members),
                modules=_modules(layers, charges, tagger, positions),
                op_types=times_by_operator(members),
            )
        )
    return sorted(rows, key=lambda row: -row.time)


def _modules(
    layers: Sequence[RecordedLayer],
    charges: Sequence[Charge],
    tagger: Tagger,
    positions: Sequence[int],
) -> list[str]:
    """The tags of the modules of some layers, those with most time first."""
    times: dict[str, float] = {}
    for position in positions:
        module = charges[position].module
        if module is not None:
            tag = tagger.tag(module)
            times[tag] = times.get(tag, 0.0) + layers[position].time
    return sorted(times, key=lambda tag: -times[tag])
