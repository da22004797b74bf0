"""Whether a graph with stamped layers computes what the model computes."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from modelexport.hierarchy.fingerprints import Array, value_fingerprint
from modelexport.tracer.eager.arrays import real_numbers
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.records.graph_values import graph_feed, run_graph
from modelexport.tracer.records.value_equality import TOLERANCE, values_agree
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.equal_runs import Block, EqualRun, paths
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.sibling_observer import SiblingRun, observe_siblings

Boundaries = Mapping[Block, Sequence[str]]
"""For each stamped block, the names of the values that the next one reads."""


def verify(
    exported: ExportedGraph,
    call: ModelCall,
    outputs: Mapping[str, torch.Tensor],
    stamped: Iterable[tuple[EqualRun, Boundaries]],
) -> None:
    """Check that a graph has the values of an eager run after each stamped block, and at its end.

    Args:
        exported: The graph.
        call: The call on the example inputs.
        outputs: What the eager run returned.
        stamped: The runs of layers, each with the values after its stamped blocks.

    Raises:
        StampingError: It does not.
        RuntimeFailedError: onnxruntime cannot run the graph.
    """
    graph = exported.model.graph
    stamped = [*stamped]
    inside = [name for _, boundaries in stamped for names in boundaries.values() for name in names]
    names = [*dict.fromkeys([*inside, *(value.name for value in graph.output)])]
    values = run_graph(exported, graph_feed(graph, call.tensors), names)
    for run, boundaries in stamped:
        for block, own in boundaries.items():
            for position in run.passed_on:
                expected = block[-1].outputs[position]
                if not any(_agree(values.get(name), expected) for name in own):
                    raise StampingError(f"after {block[-1].path} the values are not the model's")
    for value, tensor in zip(graph.output, outputs.values(), strict=True):
        if not _agree(values.get(value.name), tensor):
            raise StampingError(f"the values of the output {value.name} are not the model's")


def verify_structure(
    model: nn.Module, call: ModelCall, siblings: SiblingRun, runs: Sequence[EqualRun]
) -> None:
    """Check that a shortened model does the same as the whole one outside of its equal layers.

    Args:
        model: The shortened model.
        call: The call on the example inputs.
        siblings: What siblings did in the run of the whole model.
        runs: The runs of layers.

    Raises:
        StampingError: It does not.
        InputsError: The shortened model cannot run.
    """
    layers = {path for run in runs for block in run.blocks for path in paths(block)}
    _, short = observe_siblings(model, call, siblings.groups)
    assert short is not None
    whole, shortened = (
        [(op.operator, op.shapes) for op in observed.ops if layers.isdisjoint(op.siblings)]
        for observed in (siblings, short)
    )
    if whole != shortened:
        raise StampingError("without some of its layers, the model does something else elsewhere")


def _agree(computed: Array | None, expected: torch.Tensor) -> bool:
    """Whether two runtimes computed the same; the elements may have another order."""
    array = real_numbers(expected)
    if computed is None or array is None or computed.size != array.size:
        return False
    if computed.shape == array.shape:
        a, b = computed.astype(np.float64), array.astype(np.float64)
        scale = max(float(np.abs(b[np.isfinite(b)]).max(initial=0)), 1e-30)
        return bool(np.allclose(a, b, rtol=0, atol=TOLERANCE * scale, equal_nan=True))
    left, right = value_fingerprint(computed), value_fingerprint(array)
    return left is not None and right is not None and values_agree(left, right)
