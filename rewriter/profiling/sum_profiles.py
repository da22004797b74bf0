"""The profiles of the parts of a model as one: sums by module over the whole tree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from modelexport.errors import NoSuchModuleError
from modelexport.hierarchy.choices import PartRole, ProfileOrder
from modelexport.rewriter.profiling.results import LineTime, ModuleTime, PartsProfile, Profile
from modelexport.rewriter.profiling.select_times import select_times


def sum_profiles(
    profiles: Mapping[PartRole, Profile],
    name: str,
    *,
    module: str | None = None,
    depth: int | None = None,
    sort: str = ProfileOrder.MODEL,
) -> PartsProfile:
    """Add the profiles of the parts of a model, module by module.

    The tags of all parts are those of the whole model, so modules with equal tags are the same.

    Args:
        profiles: The profile of each part, with all of its modules, in the order of the model.
        name: Name of the folder of parts.
        module: Path, tag or pattern of modules; only they and what is inside them is listed.
        depth: How many steps below these (or below the root) modules are listed.
        sort: Order of the modules: `model`, `time`, `self`, `nodes` or `name`.

    Examples:
        >>> from modelexport import profile, sum_profiles
        >>> part = profile("net.annotated.onnx", level="basic", runs=3)
        >>> both = sum_profiles({"encoder": part, "decoder": part}, "net").whole
        >>> both.modules[0].time == 2 * part.modules[0].time
        True

    Raises:
        NoSuchModuleError: No part has such a module.
        UsageError: There is no such order.
    """
    shown = {}
    whole = select_times(_whole(list(profiles.values()), name), module, depth, sort, name)
    for role, profile in profiles.items():
        try:
            shown[role] = select_times(profile, module, depth, sort, profile.file)
        except NoSuchModuleError:
            shown[role] = msgspec.structs.replace(profile, modules=[])
    return PartsProfile(shown, whole)


def _whole(profiles: Sequence[Profile], name: str) -> Profile:
    """One run of each file together."""
    total = sum(profile.node_time for profile in profiles)
    run_times = [profile.run_time for profile in profiles]
    outside = [profile.outside_nodes for profile in profiles]
    run_time = None if None in run_times else sum(time or 0.0 for time in run_times)
    divisor = total or 1.0
    return msgspec.structs.replace(
        profiles[0],
        file=name,
        inputs={},
        run_time=run_time,
        node_time=total,
        outside_nodes=None if None in outside else sum(time or 0.0 for time in outside),
        no_module=sum(profile.no_module for profile in profiles),
        attributed=sum(p.attributed * p.node_time for p in profiles) / divisor,
        root_work=sum(p.root_work * p.node_time for p in profiles) / divisor,
        unmapped=sum(p.unmapped * p.node_time for p in profiles) / divisor,
        op_types=_added(profile.op_types for profile in profiles),
        modules=_modules(profiles, divisor),
        nodes=[node for profile in profiles for node in profile.nodes],
        lines=_lines(profiles, divisor),
        notes=[f"{profile.file}: {note}" for profile in profiles for note in profile.notes],
    )


def _modules(profiles: Sequence[Profile], total: float) -> list[ModuleTime]:
    """A row for each module of any file, each followed by those inside it."""
    rows: dict[str, list[ModuleTime]] = {}
    below: dict[str | None, dict[str, None]] = {}
    for profile in profiles:
        for row in profile.modules:
            rows.setdefault(row.tag, []).append(row)
            below.setdefault(rows[row.tag][0].parent, {})[row.tag] = None
    return [_sum(rows[tag], total) for tag in _parents_first(below)]


def _parents_first(below: Mapping[str | None, Iterable[str]]) -> Iterator[str]:
    pending = list(below.get(None, ()))[::-1]
    while pending:  # not recursive: modules may be thousands of steps deep
        tag = pending.pop()
        yield tag
        pending += list(below.get(tag, ()))[::-1]


def _sum(rows: Sequence[ModuleTime], total: float) -> ModuleTime:
    """The same module of several files. The spread of one file alone is known."""
    time = sum(row.time for row in rows)
    return msgspec.structs.replace(
        rows[0],
        self_time=sum(row.self_time for row in rows),
        time=time,
        spread=rows[0].spread if len(rows) == 1 else None,
        share=time / total,
        shared_time=sum(row.shared_time for row in rows),
        own_nodes=sum(row.own_nodes for row in rows),
        nodes=sum(row.nodes for row in rows),
        op_types=_added(row.op_types for row in rows),
    )


def _lines(profiles: Sequence[Profile], total: float) -> list[LineTime]:
    """A row for each line of Python of any file, the longest first."""
    rows: dict[str, list[LineTime]] = {}
    for row in (row for profile in profiles for row in profile.lines):
        rows.setdefault(row.line, []).append(row)
    sums = [
        msgspec.structs.replace(
            same[0],
            time=sum(row.time for row in same),
            spread=same[0].spread if len(same) == 1 else None,
            share=sum(row.time for row in same) / total,
            shared_time=sum(row.shared_time for row in same),
            nodes=sum(row.nodes for row in same),
            modules=list(dict.fromkeys(tag for row in same for tag in row.modules)),
            op_types=_added(row.op_types for row in same),
        )
        for same in rows.values()
    ]
    return sorted(sums, key=lambda row: -row.time)


def _added(times: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Times by operator added up, the longest first."""
    sums: dict[str, float] = {}
    for by_operator in times:
        for operator, time in by_operator.items():
            sums[operator] = sums.get(operator, 0.0) + time
    return dict(sorted(sums.items(), key=lambda entry: -entry[1]))
