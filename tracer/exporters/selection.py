"""The exporters by name, and the choice between them."""

from collections.abc import Callable

from torch import nn

from modelexport.errors import ExportFailedError, UsageError
from modelexport.hierarchy.choices import Exporter
from modelexport.support.error_texts import first_line
from modelexport.support.progress import report_step
from modelexport.tracer.exporters.exported import ExportedGraph, ExportSettings
from modelexport.tracer.exporters.loading_check import loading_problem
from modelexport.tracer.exporters.opset_ranges import (
    DYNAMO_MIN_OPSET,
    TORCHSCRIPT_MAX_OPSET,
    check_opset,
)
from modelexport.tracer.sources.model_state import restored_state
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.sources.translations import Translations


def _dynamo(model: nn.Module, call: ModelCall, settings: ExportSettings) -> ExportedGraph:
    from modelexport.tracer.exporters import dynamo  # noqa: PLC0415 - onnxscript loads for a second

    return dynamo.export(model, call, settings)


def _torchscript(model: nn.Module, call: ModelCall, settings: ExportSettings) -> ExportedGraph:
    from modelexport.tracer.exporters import torchscript  # noqa: PLC0415 - loads what it alone needs

    return torchscript.export(model, call, settings)


EXPORTERS: dict[Exporter, Callable[[nn.Module, ModelCall, ExportSettings], ExportedGraph]] = {
    Exporter.DYNAMO: _dynamo,
    Exporter.TORCHSCRIPT: _torchscript,
}
"""In the order in which `auto` tries them."""

Check = Callable[[nn.Module, ModelCall, ExportedGraph], None]
"""Raises ExportFailedError if an exported graph does not compute what the model computes."""


def resolve_exporter(name: str) -> Exporter:
    """The exporter that a name stands for.

    Raises:
        UsageError: There is no exporter of this name.
    """
    if name not in set(Exporter):
        choices = ", ".join((*EXPORTERS, Exporter.AUTO))
        raise UsageError(f"Unknown exporter {name!r}; choose from {choices}.")
    return Exporter.TORCHSCRIPT if name == Exporter.HTP else Exporter(name)


def export_settings(
    exporter: Exporter | None, opset: int, translations: Translations | None
) -> ExportSettings:
    """How a model is exported.

    Raises:
        UsageError: There are translations for an exporter that uses none, or no such opset.
    """
    check_opset(opset)
    if translations and exporter is Exporter.TORCHSCRIPT:
        raise UsageError(
            "Only the dynamo exporter uses a translation table (--custom-translation)."
        )
    return ExportSettings(opset, translations or {})


def planned_exporters(exporter: Exporter, opset: int) -> list[tuple[Exporter, int]]:
    """The exporters that will be tried in turn, each with the opset that it exports at.

    Raises:
        UsageError: There is no such opset.
    """
    check_opset(opset)
    candidates = EXPORTERS if exporter is Exporter.AUTO else [exporter]
    lowest = {Exporter.DYNAMO: DYNAMO_MIN_OPSET}
    highest = {Exporter.TORCHSCRIPT: TORCHSCRIPT_MAX_OPSET}
    return [
        (candidate, max(opset, lowest.get(candidate, opset)))
        for candidate in candidates
        if opset <= highest.get(candidate, opset)
    ]


def export_model(
    model: nn.Module, call: ModelCall, exporter: Exporter, settings: ExportSettings, check: Check
) -> ExportedGraph:
    """Export a model with one exporter, or with the first that works.

    Args:
        model: The model.
        call: The call to export.
        exporter: The exporter.
        settings: How it is exported.
        check: Refuses an exported graph that does not compute what the model computes.

    Raises:
        ExportFailedError: The exporter failed, or all exporters did. The message says why.
    """
    if exporter is Exporter.AUTO:
        return _export_with_first(model, call, settings, check)
    report_step(f"exporting with {exporter}")
    try:
        return _export_with(exporter, model, call, settings, check)
    except ExportFailedError as error:
        raise ExportFailedError(
            f"The {exporter} exporter cannot write {type(model).__name__} ({error})."
        ) from error


def _export_with(
    exporter: Exporter, model: nn.Module, call: ModelCall, settings: ExportSettings, check: Check
) -> ExportedGraph:
    """Export a model with one exporter.

    Raises:
        ExportFailedError: It failed, or what it made cannot be read, or is not this model.
    """
    try:
        with call.restored(), restored_state(model):
            exported = EXPORTERS[exporter](model, call, settings)
        inputs = [value.name for value in exported.model.graph.input]
    except ExportFailedError:
        raise
    except Exception as error:  # unusual weights may break any reader
        reason = first_line(error, with_type=True)
        raise ExportFailedError(f"what it made cannot be read: {reason}") from error
    foreign = [name for name in inputs if name not in call.tensors]
    if foreign:
        raise ExportFailedError(
            f"its graph has an input {foreign[0]} that the model does not have; the model's inputs "
            f"are {', '.join(call.tensors)}"
        )
    check(model, call, exported)
    return exported


def _export_with_first(
    model: nn.Module, call: ModelCall, settings: ExportSettings, check: Check
) -> ExportedGraph:
    """What the first exporter makes that onnxruntime can load; else what the first makes at all."""
    failures: list[str] = []
    unloadable: ExportedGraph | None = None
    for name in EXPORTERS:
        report_step(f"exporting with {name}")
        try:
            exported = _export_with(name, model, call, settings, check)
        except ExportFailedError as error:
            failures.append(f"{name}: {error}")
            continue
        reason = "the first that works" if failures else "the first choice"
        skipped = (f"not {failure}" for failure in failures)
        noted = exported.with_notes(before=(f"{name} exporter: {reason}", *skipped))
        if (problem := loading_problem(exported)) is None:
            return noted
        failures.append(f"{name}: {problem}")
        unloadable = unloadable or noted
    if unloadable is not None:
        return unloadable.with_notes(
            after=("no other exporter makes one that onnxruntime can load",)
        )
    raise ExportFailedError(
        f"No exporter can write {type(model).__name__} ({'; '.join(failures)})."
    )
