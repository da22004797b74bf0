"""Exporting a model, equal layers only once where that is right."""

from torch import nn

from modelexport.errors import ExportFailedError, RuntimeFailedError
from modelexport.hierarchy.choices import Exporter
from modelexport.support.progress import report_step
from modelexport.tracer.exporters.exported import ExportedGraph, ExportSettings
from modelexport.tracer.exporters.selection import Check, export_model
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.equal_runs import EqualRun, equal_runs
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.short_model import shortened
from modelexport.tracer.stamping.sibling_calls import observe_siblings
from modelexport.tracer.stamping.siblings import siblings
from modelexport.tracer.stamping.stamping import stamp
from modelexport.tracer.stamping.verification import verify


def export_equal_layers_once(
    model: nn.Module, call: ModelCall, exporter: Exporter, settings: ExportSettings, check: Check
) -> ExportedGraph:
    """Export a model; of many equal layers only the first two and the last are exported.

    The nodes of the others are copies, with their own weights. The result is what the
    exporter makes of the whole model. Where it cannot be so, or the values of the result are not
    the model's, the whole model is exported, and a note says why.

    Args:
        model: The model.
        call: The call to export.
        exporter: The exporter.
        settings: How it is exported.
        check: Refuses what an exporter made where it is not the model.

    Raises:
        ExportFailedError: The exporter failed, or all exporters did. The message says why.
    """
    note: tuple[str, ...] = ()
    groups = siblings(model)
    if groups and call.mode is None:  # without weights nothing can be verified
        try:
            exported = _export_stamped(model, call, exporter, settings, groups)
        except (StampingError, RuntimeFailedError, ExportFailedError) as error:
            note = (f"equal layers were not stamped out: {error}",)
        else:
            if exported is not None:
                check(model, call, exported)
                return exported
    return export_model(model, call, exporter, settings, check).with_notes(after=note)


def _export_stamped(
    model: nn.Module,
    call: ModelCall,
    exporter: Exporter,
    settings: ExportSettings,
    groups: list[list[str]],
) -> ExportedGraph | None:
    """The model with stamped layers; None where no layers do the same.

    Raises:
        StampingError: The layers are not equal in the graph, or the values are not the model's.
    """
    report_step("looking for equal layers")
    calls, outputs = observe_siblings(model, call, groups)
    runs = equal_runs(calls)
    if not runs:
        return None
    with shortened(model, runs):
        exported = export_model(model, call, exporter, settings, _accept)
    report_step("stamping out equal layers")
    boundaries = []
    for run in runs:
        stamped = stamp(exported, run)
        exported = stamped.exported
        boundaries.append((run, stamped.boundaries))
    verify(exported, call, outputs, boundaries)
    return exported.with_notes(after=tuple(_note(run) for run in runs))


def _accept(model: nn.Module, call: ModelCall, exported: ExportedGraph) -> None:
    """Accept a graph without layers: it is checked when it has them."""


def _note(run: EqualRun) -> str:
    calls = [call for block in run.stamped for call in block]
    return f"{len(calls)} equal layers were stamped out: {calls[0].path} to {calls[-1].path}"
