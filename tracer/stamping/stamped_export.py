"""Exporting a model at the user's opset, equal layers only once where that is right."""

from torch import nn

from modelexport.errors import ExportFailedError, InputsError, RuntimeFailedError
from modelexport.hierarchy.choices import Exporter
from modelexport.support.gc_pause import gc_paused
from modelexport.support.progress import report_step
from modelexport.tracer.exporters.exported import ExportedGraph, ExportSettings
from modelexport.tracer.exporters.selection import Check, export_model
from modelexport.tracer.records.lower_opset import lower_opset
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.equal_runs import EqualRun, equal_runs
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.short_model import shortened
from modelexport.tracer.stamping.sibling_observer import SiblingRun
from modelexport.tracer.stamping.stamping import stamp
from modelexport.tracer.stamping.verification import verify, verify_structure


def export_equal_layers_once(
    model: nn.Module,
    call: ModelCall,
    exporter: Exporter,
    settings: ExportSettings,
    check: Check,
    siblings: SiblingRun | None,
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
        siblings: What siblings did in a run of this call; None to export the whole model.

    Raises:
        ExportFailedError: The exporter failed, or all exporters did. The message says why.
    """
    note: tuple[str, ...] = ()
    if siblings is not None:
        try:
            exported = _export_stamped(model, call, exporter, settings, siblings)
        except (StampingError, RuntimeFailedError, ExportFailedError, InputsError) as error:
            note = (f"equal layers were not stamped out: {error}",)
        else:
            if exported is not None:
                check(model, call, exported)
                return exported
    exported = export_model(model, call, exporter, settings, check).with_notes(after=note)
    return lower_opset(exported, call, settings.opset)


def _export_stamped(
    model: nn.Module,
    call: ModelCall,
    exporter: Exporter,
    settings: ExportSettings,
    siblings: SiblingRun,
) -> ExportedGraph | None:
    """The model with stamped layers; None where no layers do the same.

    Raises:
        StampingError: The layers are not equal in the graph, or the values are not the model's.
    """
    report_step("looking for equal layers")
    runs = equal_runs(siblings.calls)
    if not runs:
        return None
    short_call = call.without_outputs(frozenset().union(*(run.left_out_outputs for run in runs)))
    with shortened(model, runs):
        if call.mode is not None:  # without weights, no values will show what goes wrong
            verify_structure(model, call, siblings, runs)
        exported = export_model(model, short_call, exporter, settings, _accept)
    exported = exported.with_notes(after=tuple(_note(run) for run in runs))
    taken = {tensor.name for tensor in exported.model.graph.initializer}
    exported = lower_opset(exported, short_call, settings.opset)  # copies are as their template is
    report_step("stamping out equal layers")
    boundaries = []
    with gc_paused():
        for run in runs:
            stamped = stamp(exported, run, call, taken)
            exported = stamped.exported
            boundaries.append((run, stamped.boundaries))
        if call.mode is None:
            verify(exported, call, siblings.outputs, boundaries)
    return exported


def _accept(model: nn.Module, call: ModelCall, exported: ExportedGraph) -> None:
    """Accept a graph without layers: it is checked when it has them."""


def _note(run: EqualRun) -> str:
    calls = [call for block in run.stamped for call in block]
    return f"{len(calls)} equal layers were stamped out: {calls[0].path} to {calls[-1].path}"
