"""Splitting: a file becomes parts that run in order and compute the outputs of the whole."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Unpack

import msgspec

from modelexport.hierarchy.choices import SplitBalance, parse_choice
from modelexport.hierarchy.place_options import PlaceKeywords, PlaceOptions
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.extraction.measured_times import module_times
from modelexport.rewriter.extraction.node_costs import node_costs
from modelexport.rewriter.extraction.olive_assignments import assigned_model, olive_assignments
from modelexport.rewriter.extraction.part_check import PartCheck, written_part
from modelexport.rewriter.extraction.part_model import part_model
from modelexport.rewriter.extraction.results import Split, SplitPart, checked
from modelexport.rewriter.extraction.stages import balanced_stages, named_stages
from modelexport.rewriter.extraction.value_types import ValueInfos, value_types
from modelexport.support.files import atomic_replacement, check_target
from modelexport.support.folders import atomic_folder
from modelexport.support.gc_pause import gc_paused

MANIFEST = "manifest.json"
"""Name of the file that lists the parts in the order in which they run, with inputs and outputs."""

ASSIGNED = "assigned.onnx"
"""Name of the whole file with the part of each node."""


@gc_paused()
def split(
    path: str | Path,
    out_dir: str | Path,
    parts: int | Sequence[Sequence[str]],
    *,
    balance: SplitBalance = SplitBalance.MACS,
    profile: str | Path | None = None,
    check: bool = False,
    assignments: bool = False,
    force: bool = False,
    **placement: Unpack[PlaceKeywords],
) -> Split:
    """Write parts of a file that run one after the other, and a manifest.

    Args:
        path: An annotated file; any file of the model with `record` or `inherit_from`.
        out_dir: The folder of the parts; it is created.
        parts: Number of parts, of about equal cost. Or the modules of each part, as `extract`
            takes them; nodes of other modules go as early as they can run.
        balance: The cost that is balanced with a number of parts.
        profile: For times: JSON of `modelexport profile`; by default the file is profiled.
        check: Whether to run the whole and the parts, without optimisations, and compare them.
        assignments: Whether to write `assigned.onnx` too: the whole, with the part of each node in
            its metadata as Olive's SplitModel reads it.
        force: Whether existing files may be overwritten.
        placement: How the modules are found, see `PlaceOptions`: `record`, `inherit_from`, `run`,
            `libraries`, `memory`.

    Examples:
        >>> from modelexport import split
        >>> result = split("net.annotated.onnx", "parts", 2, check=True)
        >>> [part.file for part in result.parts], result.equal
        (['part_0.onnx', 'part_1.onnx'], True)

    Raises:
        FileProblem: A file cannot be read or written.
        RuntimeFailedError: onnxruntime does not run one of the files.
        UsageError: The file cannot be divided into these parts.
    """
    balance, folder = parse_choice(SplitBalance, balance, "balance"), Path(out_dir)
    times = partial(module_times, path, profile, PlaceOptions(**placement))
    if folder.exists():
        check_target(folder / MANIFEST, force=force)
    with (
        atomic_folder(folder, force=force) as staging,
        PlacedFile.open(path, **placement) as file,
    ):
        division = _divide(file, parts, balance, times)
        place = _Place(staging, folder, force)
        written, types = _write_parts(file, division, place)
        result = Split(
            file.path.name,
            written,
            balance=balance if isinstance(parts, int) else None,
            notes=[*file.notes, *division.notes],
        )
        if assignments:
            text = olive_assignments(file, division.graph, division.groups)
            whole = assigned_model(file, text, types)
            file.container.write_part(staging / ASSIGNED, whole, home=folder, force=force)
            result = msgspec.structs.replace(result, assignments=text)
        if check:
            result = _check(file, result, types, place)
        with atomic_replacement(staging / MANIFEST) as manifest:
            manifest.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    return result


class _Place(NamedTuple):
    """Where parts are written.

    Attributes:
        staging: The folder where they are written.
        folder: The folder where they will be.
        force: Whether files may be overwritten there.
    """

    staging: Path
    folder: Path
    force: bool


@dataclass(frozen=True)
class _Division:
    """How a file is divided.

    Attributes:
        graph: Its main graph.
        groups: Positions of the nodes of each part.
        shares: The share (0-1) of each part of the cost that is balanced; None for named parts.
        notes: What the user should know.
    """

    graph: MainGraph
    groups: list[list[int]]
    shares: list[float] | None = None
    notes: Sequence[str] = ()


def _divide(
    file: PlacedFile,
    parts: int | Sequence[Sequence[str]],
    balance: SplitBalance,
    times: Callable[[], Mapping[str, float]],
) -> _Division:
    graph = MainGraph(file)
    if not isinstance(parts, int):
        groups, notes = named_stages(file, graph, parts)
        return _Division(graph, groups, notes=notes)
    costs = node_costs(file, graph, balance, times)
    groups = balanced_stages(file, graph, parts, costs)
    cost_of = dict(zip(graph.work, costs, strict=True))
    shares = [sum(map(cost_of.__getitem__, nodes)) / sum(costs) for nodes in groups]
    return _Division(graph, groups, shares)


def _write_parts(
    file: PlacedFile, division: _Division, place: _Place
) -> tuple[list[SplitPart], ValueInfos]:
    """Write the parts; returns them, with the types of what they read and compute."""
    parts = [division.graph.convex_part(nodes) for nodes in division.groups]
    names = dict.fromkeys(n for part in parts for n in (*part.inputs, *part.outputs))
    types = value_types(file, names)
    written = []
    for number, part in enumerate(parts):
        target = place.staging / f"part_{number}.onnx"
        model = part_model(file, part, types)
        file.container.write_part(target, model, home=place.folder, force=place.force)
        tags = dict.fromkeys(filter(None, (file.tag(position) for position in part.nodes)))
        written.append(
            SplitPart(
                file=target.name,
                nodes=len(part.nodes),
                inputs=part.inputs,
                outputs=part.outputs,
                tags=list(tags),
                share=None if division.shares is None else division.shares[number],
            )
        )
    return written, types


def _check(file: PlacedFile, result: Split, types: ValueInfos, place: _Place) -> Split:
    """The result with the verdict of its check.

    Args:
        file: The whole.
        result: The parts.
        types: The value infos of what they read and compute.
        place: Where the parts are.
    """
    computed = [name for part in result.parts for name in part.outputs]
    border = PartCheck(file, computed, types)
    different: list[str] = []
    for part in result.parts:
        with written_part(file, place.staging / part.file, place.folder) as runnable:
            different += border.different(runnable, part.inputs, part.outputs)
    returned = {value.name for value in file.model.graph.output}
    return checked(result, different, border.rounding_note([n for n in computed if n in returned]))
