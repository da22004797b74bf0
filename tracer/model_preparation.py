"""What `trace` and `record` do with a model before it is exported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelexport.support.progress import report_step
from modelexport.tracer.eager.deep_calls import deep_calls
from modelexport.tracer.eager.model_run import ModelRun, observe_run
from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.sources.transformers_models import ready_for_export
from modelexport.tracer.sources.weightless import fake_weights
from modelexport.tracer.stamping.sibling_observer import SiblingRun, observe_siblings


@contextmanager
def prepared(model: nn.Module) -> Iterator[FakeTensorMode | None]:
    """Prepare a model for its runs and its export while the body runs.

    Yields:
        The mode under which a model without weights runs; None for a model with weights.
    """
    with (
        deep_calls(model),
        evaluation_mode(model),
        ready_for_export(model),
        fake_weights(model) as mode,
    ):
        yield mode


def run_once(
    model: nn.Module, call: ModelCall, *, stamp: bool
) -> tuple[ModelRun, ModelCall, SiblingRun | None]:
    """Run a model on the example inputs.

    Args:
        model: The model.
        call: How to call it.
        stamp: Whether to observe the calls of siblings, to find equal layers.

    Returns:
        The run, the call with the names of the outputs, and what siblings did.
    """
    report_step("running the model")
    if stamp:
        run, siblings = observe_siblings(model, call)
    else:
        run, siblings = observe_run(model, call), None
    return run, replace(call, output_names=tuple(run.outputs)), siblings


def translation_advice(run: ModelRun, settings: ExportSettings) -> str:
    """What to do about operators that the exporters may not know."""
    translated = {str(operator).partition(".default")[0] for operator in settings.translations}
    missing = [n for n in run.custom_operators if n.replace("::", ".") not in translated]
    if not missing:
        return ""
    return (
        f"It calls {', '.join(missing)}: give the dynamo exporter a translation with "
        "--custom-translation FILE.py:TABLE. "
    )
