"""A file in which each module is computed by the nodes of one file or by those of another.

A module that is left out of quantisation runs on the reference's nodes, which read what the rest of
the file computes. All choices of modules are runs of one session: see `switchable_graph`.
"""

from collections.abc import Collection, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.needed_nodes import CycleError
from modelexport.rewriter.comparison.quantisation.switchable_graph import (
    OUTPUT,
    QUANTISED,
    REFERENCE,
    SWITCH,
    SharedValue,
    SwitchableGraph,
)
from modelexport.rewriter.container import session_source
from modelexport.rewriter.execution.session import Session

_LARGEST_INLINE = 1 << 12
"""Bytes up to which a weight of the reference stands in the graph; larger ones are fed."""


class SwitchableFile:
    """Both files as one session.

    Args:
        reference: The reference.
        quantised: The quantised file.
        values: The values that both have.
        libraries: Custom operator libraries that onnxruntime loads.

    Attributes:
        modules: Keys of the modules that can be switched.

    Raises:
        RuntimeFailedError: onnxruntime does not load the graph.
    """

    def __init__(
        self,
        reference: ExaminedFile,
        quantised: ExaminedFile,
        values: Sequence[SharedValue],
        libraries: list[str],
    ) -> None:
        self._reference, self._quantised = reference, quantised
        values = list(values)
        while True:
            graph = SwitchableGraph(reference, quantised, values)
            try:
                nodes = graph.nodes()
            except CycleError as error:
                # the files compute these in different orders: one of them cannot be switched
                cycle = next(v for v in values if v.chosen in error.names)
                values.remove(cycle)
            else:
                break
        self.modules = graph.modules
        self._rounded = [*graph.rounded, *graph.passed_on]
        self._feeds = dict(quantised.feeds)
        model = self._model(nodes)
        source = session_source(quantised.file.container, model)
        self._session = Session(quantised.file.path, source=source, plain=True, libraries=libraries)

    def run(self, left_out: Collection[str]) -> dict[str, Array]:
        """The outputs of the quantised file when some modules are not quantised.

        Args:
            left_out: Keys of these modules.
        """
        switches = {SWITCH + key: np.array(key in left_out) for key in self.modules}
        applies = self._quantised.groups.quantised.applies
        switches |= {QUANTISED + n: np.array(applies(n, left_out)) for n in self._rounded}
        outputs = self._session.run(self._feeds | switches)
        return {name.removeprefix(OUTPUT): value for name, value in outputs.items()}

    def _model(self, nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
        whole = self._quantised.file.model
        model = onnx.ModelProto()
        model.CopyFrom(whole)
        graph = model.graph
        del graph.node[:], graph.output[:], graph.value_info[:]
        graph.node.extend(nodes)
        names = (OUTPUT + value.name for value in whole.graph.output)
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        switches = [
            *(SWITCH + key for key in self.modules),
            *(QUANTISED + n for n in self._rounded),
        ]
        graph.input.extend(
            helper.make_tensor_value_info(name, onnx.TensorProto.BOOL, []) for name in switches
        )
        other = self._reference.file.model
        self._add_reference_inputs(graph, other)
        _add_domains(model, other)
        return model

    def _add_reference_inputs(self, graph: onnx.GraphProto, other: onnx.ModelProto) -> None:
        """Give the nodes of the reference their inputs and weights."""
        used = {name for node in graph.node for name in node.input}
        container = self._reference.file.container
        arrays = dict(self._reference.feeds)
        for weight in other.graph.initializer:
            if REFERENCE + weight.name not in used and not _in_subgraphs(graph):
                continue
            array = container.array(weight)
            if array is None or array.nbytes <= _LARGEST_INLINE:
                copy = onnx.TensorProto()
                copy.CopyFrom(weight if array is None else numpy_helper.from_array(array))
                copy.name = REFERENCE + weight.name
                graph.initializer.append(copy)
            else:
                arrays[weight.name] = array
        for name, array in arrays.items():
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.input.append(helper.make_tensor_value_info(REFERENCE + name, kind, array.shape))
            self._feeds[REFERENCE + name] = array


def _in_subgraphs(graph: onnx.GraphProto) -> bool:
    """Whether nodes have subgraphs, which may read any weight."""
    return any(a.HasField("g") or a.graphs for node in graph.node for a in node.attribute)


def _add_domains(model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """Add the operator sets and functions of the reference."""
    versions = {entry.domain: entry for entry in model.opset_import}
    for entry in other.opset_import:
        if entry.domain not in versions:
            model.opset_import.append(entry)
        elif entry.version > versions[entry.domain].version:
            versions[entry.domain].version = entry.version
    functions = {(function.domain, function.name) for function in model.functions}
    model.functions.extend(f for f in other.functions if (f.domain, f.name) not in functions)
    model.ir_version = max(model.ir_version, other.ir_version)
