"""The weights of a handmade file, matched with recorded ones, by their names."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.module_tree import Module, Parameter
from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.weights import WeightMatcher

Arrays = Mapping[str, np.ndarray]
PATHS = ("", "a", "b", "c")
PARAMETERS = (Parameter("w", (6, 4)), Parameter("v", (6, 4)))


def recorded(array: np.ndarray | None, name: str, parameter: str | None = None) -> Tensor:
    weight = None if array is None else weight_fingerprint(array)
    return Tensor(name, parameter, weight)


def record_of(
    tensors: Sequence[Tensor], absent: Sequence[Tensor] = (), ops: tuple[Op, ...] = ()
) -> Record:
    products = [
        Op("", n, f"r{n}", "MatMul", (f"r{n}",), inputs=("x", tensor.name))
        for n, tensor in enumerate(tensors)
    ]
    return Record(
        source=Source("handmade", "hand", 17),
        digest="",
        modules=tuple(Module(path, "Part", parameters=PARAMETERS) for path in PATHS),
        ops=ops or tuple(products),
        tensors=tuple(tensors),
        probe=Probe(),
        absent=tuple(absent),
    )


def file_of(arrays: Arrays, nodes: Sequence[onnx.NodeProto] = ()) -> onnx.ModelProto:
    """A file of some weights, each multiplied with the input, or read by the given nodes."""
    products = [helper.make_node("MatMul", ["x", name], [f"p{n}"]) for n, name in enumerate(arrays)]
    value = helper.make_tensor_value_info
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    inputs, outputs = [value("x", 1, [2])], [value("p0", 1, [2])]
    return helper.make_model(
        helper.make_graph([*(nodes or products)], "g", inputs, outputs, weights)
    )


class Matched:
    """The weights of a file matched with those of a record, by their names."""

    def __init__(self, model: onnx.ModelProto, record: Record, read: object = None) -> None:
        graph, self._recorded = ModelGraph(model), IndexedGraph.from_record(record)
        self._file = graph.indexed
        read = read or numpy_helper.to_array
        self.match = WeightMatcher(graph, self._file, self._recorded, record, read).match()

    def _named(self, pairs: Mapping[int, frozenset[int]]) -> dict[str, set[str]]:
        return {
            self._file.value_names[value][1]: {self._recorded.value_names[n][1] for n in labels}
            for value, labels in pairs.items()
        }

    @property
    def candidates(self) -> dict[str, set[str]]:
        return self._named(self.match.candidates)

    @property
    def merged_from(self) -> dict[str, set[str]]:
        return self._named(self.match.merged_from)

    @property
    def new(self) -> set[str]:
        return {self._file.value_names[value][1] for value in self.match.new}

    @property
    def plain(self) -> set[str]:
        return {self._file.value_names[value][1] for value in self.match.plain}

    @property
    def owners(self) -> dict[str, str]:
        return {self._file.value_names[v][1]: path for v, path in self.match.owners.items()}


def matched(arrays: Arrays, *tensors: Tensor, absent: Sequence[Tensor] = ()) -> Matched:
    return Matched(file_of(arrays), record_of(tensors, absent))
