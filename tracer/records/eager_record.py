"""Building an eager record: what a model computes when no exporter is used.

The model runs as it is, and every operator call below autograd is an op of the record. Operators
have other names in ONNX, so an ONNX file of the model is matched with such a record by the values
of its tensors.
"""

from torch import nn

from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.record import Record
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.eager.model_run import observe_run
from modelexport.tracer.records.eager_ops import EagerOpCollector, exporter_decompositions
from modelexport.tracer.records.graph_values import NOT_REQUESTED
from modelexport.tracer.records.modules import record_modules
from modelexport.tracer.records.provenance import record_probe, record_source
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.sources.weightless import NO_WEIGHTS


@one_blas_thread()
def build_eager_record(
    model: nn.Module, call: ModelCall, origin: Origin | None, *, probe: bool, why: tuple[str, ...]
) -> Record:
    """Build the record of a model that runs as it is, without an exporter.

    Args:
        model: The model.
        call: The call on the example inputs.
        origin: Where the model came from.
        probe: Whether to keep fingerprints of values.
        why: Why no exporter is used.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    missing = NOT_REQUESTED if not probe else NO_WEIGHTS if call.mode is not None else None
    collector = EagerOpCollector(model, call, fingerprints=missing is None)
    run = observe_run(
        model,
        call,
        collector.observe,
        decompositions=exporter_decompositions(),
        enter_control_flow=True,
    )
    arrays = {name: to_numpy(tensor) for name, tensor in call.tensors.items()}
    feed = {name: array for name, array in arrays.items() if array is not None}
    return Record(
        source=record_source(model, origin, RecordExporter.EAGER, 0, why),
        digest="",
        modules=record_modules(model, run.modules),
        ops=tuple(collector.ops),
        tensors=collector.tensors(),
        absent=collector.absent(),
        constants=run.constants,
        probe=record_probe(feed, missing),
    )
