"""Profiling: how long a file takes, module by module."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Unpack

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ProfileOrder, ProfileRuntime
from modelexport.hierarchy.module_tree import ROOT
from modelexport.hierarchy.profile_options import (
    ImportedProfile,
    ProfileFiles,
    ProfileKeywords,
    ProfileOptions,
)
from modelexport.hierarchy.record import Record, read_record
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.profiling.imported_profile import join_imported
from modelexport.rewriter.profiling.join_layers import Charge, charge_layers
from modelexport.rewriter.profiling.line_times import line_times
from modelexport.rewriter.profiling.measured_profile import Measurement, measure
from modelexport.rewriter.profiling.module_times import (
    module_times,
    spread_of,
    times_by_operator,
)
from modelexport.rewriter.profiling.openvino_profile import measure_openvino
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer
from modelexport.rewriter.profiling.results import NodeTime, Profile
from modelexport.rewriter.profiling.select_times import select_times, tags_inside
from modelexport.rewriter.profiling.write_profile import ChargedLayer, write_profile_files
from modelexport.support.files import check_target
from modelexport.support.threads import one_blas_thread


@one_blas_thread()
def profile(
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    inherit_from: str | Path | None = None,
    imported: ImportedProfile | None = None,
    options: ProfileOptions = ProfileOptions(),  # noqa: B008 - frozen
    files: ProfileFiles = ProfileFiles(),  # noqa: B008 - frozen
    force: bool = False,
    module: str | None = None,
    depth: int | None = None,
    sort: str = ProfileOrder.MODEL,
    **changes: Unpack[ProfileKeywords],
) -> Profile:
    """Run a file in onnxruntime or openvino, and measure how long each module takes.

    A node that does the work of several modules is charged to the one with the most work:
    multiply-accumulates, then weights. The time of a node is the mean of the faster half of its
    runs, that of a module the sum of its nodes. The profiler itself makes runs 3 to 27 % slower;
    nothing is subtracted.

    Args:
        path: The file: annotated, or any file of the model with `record` or `inherit_from`.
        record: A trace record of the model, or its path.
        inherit_from: An annotated file of the model, in place of a record.
        imported: A profile of this file that was recorded elsewhere; the file does not run here.
        options: How the file is run.
        files: Files to write, besides the result.
        force: Overwrite these if they exist.
        module: Path, tag or pattern of modules; only they and what is inside them is listed.
        depth: How many steps below these (or below the root) modules are listed.
        sort: Order of the modules: `model`, `time`, `self`, `nodes` or `name`.
        changes: Single options by name, in place of those in `options`.

    Examples:
        >>> from modelexport import profile
        >>> result = profile("net.annotated.onnx", level="basic", runs=3)
        >>> result.modules[0].tag, 0 <= result.attributed <= 1
        ('/Net', True)

    Raises:
        FileProblem: A file cannot be read or written.
        ForeignRecordError: The record is of another model.
        RuntimeFailedError: The file does not run.
        UsageError: Options or inputs do not fit, or there is no such module.
    """
    options = options.overridden(**changes)
    optimises = imported is None and options.runtime is ProfileRuntime.ONNXRUNTIME
    check_files(files, Path(path), optimises=optimises, force=force)
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with ExitStack() as unsaved:  # what is written when the input is known not to have changed
        with PlacedFile.open(
            path,
            record=record,
            inherit_from=inherit_from,
            libraries=options.libraries,
            memory=options.memory,
        ) as file:
            if imported is not None:
                measured = join_imported(file, imported, options)
            elif options.runtime is ProfileRuntime.OPENVINO:
                measured = measure_openvino(file, options, record)
            else:
                folder = Path(unsaved.enter_context(tempfile.TemporaryDirectory()))
                saves = files.save_optimised is not None
                measured = measure(file, options, record, folder, saves=saves)
            charges = charge_layers(measured.profile.layers, measured.graph)
            result = _result(file, measured, charges, options, imported=imported is not None)
            listed = select_times(result, module, depth, sort, str(path))
            tags = None if module is None else tags_inside(result.modules, module, str(path))
            lines = line_times(measured.profile.layers, charges, file.tagger, tags)
            layers = charged_layers(measured, charges, file.tagger)
        write_profile_files(result, layers, files, measured.optimised, force=force)
    return msgspec.structs.replace(listed, lines=lines)


def check_files(files: ProfileFiles, source: Path, *, optimises: bool, force: bool) -> None:
    """Refuse files that could not be written, before anything runs.

    Raises:
        FileProblem: A file exists or cannot be written.
        UsageError: There is node data without the file whose nodes it names, or nothing runs that
            could be saved.
    """
    targets = (files.trace, files.speedscope, files.folded_stacks, files.node_data)
    for target in (*targets, files.save_optimised):
        if target is not None:
            check_target(target, force=force, inputs=[source])
    if not optimises and files.save_optimised is not None:
        raise UsageError(
            "--save-optimised needs a run in onnxruntime: nothing else writes an optimised file."
        )
    if optimises and files.node_data is not None and files.save_optimised is None:
        raise UsageError(
            "--node-data needs --save-optimised OUT.onnx: its values belong to the nodes of the "
            "optimised file."
        )


def charged_layers(
    measured: Measurement, charges: Sequence[Charge], tagger: Tagger
) -> list[ChargedLayer]:
    """The layers with the tags of their modules."""
    return [
        ChargedLayer(
            layer,
            None if charge.module is None else tagger.tag(charge.module),
            tuple(measured.graph.nodes[number].name for number in charge.nodes),
        )
        for layer, charge in zip(measured.profile.layers, charges, strict=True)
    ]


def _result(
    file: PlacedFile,
    measured: Measurement,
    charges: Sequence[Charge],
    options: ProfileOptions,
    *,
    imported: bool,
) -> Profile:
    recorded, layers = measured.profile, measured.profile.layers
    times = [layer.time for layer in layers]
    total = sum(times)
    optimised = not imported and options.runtime is ProfileRuntime.ONNXRUNTIME
    run_time = recorded.run_time
    pairs = list(zip(times, charges, strict=True))
    below_root = sum(time for time, charge in pairs if charge.module not in {None, ROOT})
    root_work = sum(time for time, charge in pairs if charge.is_root_work)
    return Profile(
        file=file.path.name,
        runtime=recorded.runtime,
        providers=recorded.providers,
        level=options.level if optimised else None,
        threads=0 if imported else options.threads,
        runs=recorded.runs,
        unit=recorded.unit,
        inputs={name: list(array.shape) for name, array in measured.feeds.items()},
        run_time=run_time,
        node_time=total,
        outside_nodes=recorded.outside_nodes,
        no_module=sum(time for time, charge in pairs if charge.module is None),
        attributed=below_root / total if total else 0.0,
        unmapped=sum(time for time, charge in pairs if not charge.nodes) / (total or 1.0),
        op_types=times_by_operator(layers),
        modules=module_times(layers, charges, file.tagger),
        nodes=_node_times(layers, charges, measured, file.tagger),
        root_work=root_work / total if total else 0.0,
        notes=[*file.notes, *measured.notes, *recorded.notes, *_overlap(run_time, total)],
    )


def _overlap(run_time: float | None, total: float) -> list[str]:
    """A note where the nodes together took longer than a run."""
    if run_time is None or run_time >= total:
        return []
    return ["the nodes together took longer than a run: some ran at the same time"]


def _node_times(
    layers: Sequence[RecordedLayer],
    charges: Sequence[Charge],
    measured: Measurement,
    tagger: Tagger,
) -> list[NodeTime]:
    return [
        NodeTime(
            name=layer.name,
            op_type=layer.op_type,
            time=layer.time,
            spread=spread_of(layer.times),
            module=charge.module,
            tag=None if charge.module is None else tagger.tag(charge.module),
            covers=tuple(tagger.tag(module) for module in charge.covers),
            nodes=tuple(measured.graph.nodes[number].name for number in charge.nodes),
            provider=layer.provider,
            reason=charge.reason,
            source_lines=charge.lines,
        )
        for layer, charge in zip(layers, charges, strict=True)
    ]
