"""The steps of one model type: build, load with generated inputs, trace, annotate, judge."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import nn

from agreement.judging import Verdict, judge
from breadth.building import BuildError, models, rebuilt, save
from breadth.cpu_limit import OutOfTimeError, cpu_limit
from breadth.row import Row
from fixtures_gen.truth import feeds, truth
from modelexport.errors import ExportFailedError, ModelExportError, RuntimeFailedError
from modelexport.rewriter import AnnotateReport, annotate, validate
from modelexport.tracer import TraceResult, load, record, trace
from modelexport.tracer.sources.loading import Loaded
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.signature import bind_inputs
from modelexport.tracer.sources.transformers_models import ready_for_export

_LAST_DEGREE = 4
"""A model that runs on no inputs in this degree gets no larger one."""

_MAX_MISSING = 3
"""Maximum number of settings that a model may lack when it runs."""

EXPORTERS = ("torchscript", "dynamo")

_EXPORTER_SHARE = 0.4
"""Maximum share (0-1) of the limit of processor time that one exporter gets."""


class Stage(StrEnum):
    """Where the work on a type may stop."""

    INPUTS = "inputs"
    JUDGED = "judged"


def run_type(row: Row, write: Callable[[Row], None], *, until: Stage, seconds: float) -> None:
    """Take a model type as far as it comes.

    Args:
        row: Gets what comes of it.
        write: Gets the row after each stage, for the case that the process ends early.
        until: The last stage.
        seconds: Limit of processor time. One exporter gets a share of it, so that the next one,
            or a record of eager execution, has time left.
    """
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        try:
            loaded = _loaded(row, Path(folder))
            if loaded is not None and until is not Stage.INPUTS:
                write(row)
                _trace(row, write, loaded, Path(folder), seconds)
        finally:
            row.seconds = round(time.process_time() - start, 2)


def _loaded(row: Row, folder: Path) -> Loaded | None:
    """The smallest model of a type that runs on the inputs that are generated for its folder."""
    try:
        for model, degree in models(row.model_type):
            row.degree = degree
            row.status = "inputs"
            loaded = _loaded_as(row, model, folder / f"model{degree}")
            if loaded is None and degree >= _LAST_DEGREE:
                return None
            if loaded is None:
                continue
            row.reason, row.status = "", "ran"
            row.parameters = sum(p.numel() for p in loaded.model.parameters())
            row.modules = sum(1 for _ in loaded.model.modules())
            row.inputs = {n: list(t.shape) for n, t in _tensors(loaded)}
            return loaded
    except BuildError as error:
        row.reason = str(error)
    return None


def _loaded_as(row: Row, model: nn.Module, source: Path) -> Loaded | None:
    """A model as it is loaded from its folder; settings that it lacks when it runs are set."""
    other: nn.Module | None = model
    for _ in range(_MAX_MISSING):
        save(other, source)
        try:
            return load(str(source))  # it runs the model on the inputs
        except ModelExportError as error:
            row.reason = row.reason or str(error).replace(str(source), "model")
            other = rebuilt(other, error.__cause__) if error.__cause__ is not None else None
        if other is None:
            break
    return None


def _tensors(loaded: Loaded) -> list[tuple[str, torch.Tensor]]:
    return list(bind_inputs(loaded.model, loaded.inputs).tensors.items())


def _trace(
    row: Row, write: Callable[[Row], None], loaded: Loaded, folder: Path, seconds: float
) -> None:
    """Export by the first exporter that can, annotate and judge; else record eagerly."""
    row.status = "export"
    for exporter in EXPORTERS:
        traced = _exported(row, loaded, folder, exporter, seconds * _EXPORTER_SHARE)
        write(row)
        if traced is None:
            continue
        try:
            report = _annotate(row, write, loaded, traced, folder)
        except RuntimeFailedError as error:
            if str(traced.onnx_path) not in str(error):  # the file as the exporter wrote it
                raise
            row.refusals[exporter] = f"It writes a file, but {error}".replace(str(folder), "")
            row.exporter, row.nodes, row.tagged = "", 0, 0
            continue
        _judge(row, loaded, traced, report)
        return
    eager = record(loaded.model, loaded.inputs, folder / "eager.json", exporter="eager")
    row.exporter, row.status = "eager", "recorded"
    row.nodes = len(eager.record.ops)
    row.tagged = sum(op.module is not None for op in eager.record.ops)


def _exported(
    row: Row, loaded: Loaded, folder: Path, exporter: str, seconds: float
) -> TraceResult | None:
    """The model as one exporter writes it; None, with its reason in the row, where it does not."""
    path = folder / f"{exporter}.onnx"
    try:
        with cpu_limit(seconds):
            return trace(loaded.model, loaded.inputs, path, exporter=exporter)
    except ExportFailedError as error:
        row.refusals[exporter] = str(error).replace(str(folder), "")
    except OutOfTimeError:
        row.refusals[exporter] = "it took more processor time than one exporter may"
    return None


def _annotate(
    row: Row, write: Callable[[Row], None], loaded: Loaded, traced: TraceResult, folder: Path
) -> AnnotateReport:
    """Tag the file and check it.

    Raises:
        RuntimeFailedError: onnxruntime cannot load or run the file as the exporter wrote it.
    """
    graph = onnx.load(traced.onnx_path, load_external_data=False).graph
    _check_that_it_runs(traced.onnx_path, feeds(loaded.model, dict(loaded.inputs), graph))
    row.exporter, row.status = traced.onnx_path.stem, "annotate"
    annotated = folder / f"{row.exporter}.annotated.onnx"
    report = annotate(traced.onnx_path, traced.record, annotated)
    row.nodes, row.tagged = len(report.decisions), report.resolved
    checked = validate(
        annotated, record=traced.record, reference=traced.onnx_path, consistency=True
    )
    row.faults = [str(fault) for fault in checked.faults][:5]
    row.status = "annotated"
    write(row)
    return report


def _check_that_it_runs(path: Path, inputs: dict[str, Any]) -> None:
    try:
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    except Exception as error:
        raise RuntimeFailedError(f"{path}: onnxruntime cannot run it ({error})") from error


def _judge(row: Row, loaded: Loaded, traced: Any, report: Any) -> None:
    """Hold every tag against eager execution."""
    with evaluation_mode(loaded.model), ready_for_export(loaded.model):
        true = truth(loaded.model, dict(loaded.inputs), traced.onnx_path)
    counts: Counter[str] = Counter()
    for decision in report.decisions:
        if (modules := true.modules.get(decision.key)) is None:
            continue
        verdict = judge(modules, decision.module, decision.covers, traced.record.tree)
        counts[verdict] += 1
        if verdict is Verdict.WRONG:
            row.wrong.append(
                f"{decision.graph}#{decision.position} {decision.op_type}: {decision.module} by "
                f"{decision.evidence}, but {sorted(modules)}"
            )
    row.verdicts, row.known = dict(counts), len(true.modules)
    row.status = "judged"
