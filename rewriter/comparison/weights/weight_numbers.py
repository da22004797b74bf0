"""The weights that the modules of a file read, and the real numbers that they stand for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ancestors
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.quantisation_scales import QuantisationScales, Scale
from modelexport.rewriter.comparison.weights.integer_scales import integer_scale
from modelexport.rewriter.comparison.weights.stored_steps import (
    MANTISSA_BITS,
    WeightNumbers,
    edges,
    float_step,
    with_step,
)
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.matching.evidence.dequantised_weights import dequantise

_FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, *MANTISSA_BITS}

_MOVING = {"Identity", "Cast", "Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten"}
"""Operators whose output holds the numbers of their first input."""

_PASSING_ON = {*_MOVING, "DequantizeLinear"}
"""Operators that give a weight as it is, or as the real numbers that it stands for."""


@dataclass(frozen=True)
class WeightRead:
    """A weight as a node reads it.

    Attributes:
        name: The initializer.
        node: Position of the node that reads it, or that dequantises it.
        reader: Position of the node of a module that reads it.
        owners: Paths of the modules with weights whose work this node does.
        place: The operator of the reader, and which input the weight is.
        parameter: Name of the parameter that it is; None where that is not known.
    """

    name: str
    node: int
    reader: int
    owners: tuple[str, ...]
    place: tuple[str, int]
    parameter: str | None


class WeightReader:
    """Reads the weights of the modules of a file.

    A node may work for several modules, whose weights an optimiser has merged.

    Args:
        file: The file.

    Attributes:
        graph: Its main graph.
    """

    def __init__(self, file: ComparedFile) -> None:
        self._file, self.graph = file, MainGraph(file)
        self._scales = QuantisationScales(file.model.graph)
        self._tensors = {tensor.name: tensor for tensor in file.model.graph.initializer}

    @cached_property
    def reads(self) -> list[WeightRead]:
        """The weights that modules read, in the order of the nodes."""
        return list(self._find_reads())

    def _find_reads(self) -> Iterator[WeightRead]:
        scales = self._scale_names()
        for position, node in enumerate(self.graph.nodes):
            owners = self.owners(position)
            passes_on = node.op_type in _PASSING_ON and self.graph.is_constant[position]
            if not owners or passes_on:
                continue
            for index, name in enumerate(node.input):
                source, weight = self._source(name, position)
                if weight in self._tensors and weight not in scales:
                    place = op_type(node), index
                    parameter = self._parameter(weight)
                    yield WeightRead(weight, source, position, owners, place, parameter)

    def _parameter(self, name: str) -> str | None:
        """The parameter that an initializer is, as the file says it, of a module that it has."""
        parameter = self._file.hierarchy.parameters.get(name)
        is_known = parameter is not None and parameter.rpartition(".")[0] in self._file.tree
        return parameter if is_known else None

    @cached_property
    def inner_modules(self) -> dict[str, list[str]]:
        """For the path of a module whose nodes read weights those inside it whose nodes read none.

        An exporter that computes ahead what an inner module returns leaves its weight to a node
        of the module around it.
        """
        readers = {path for read in self.reads for path in read.owners}
        inner: dict[str, list[str]] = {}
        for module in self._file.tree:
            around = [path for path in ancestors(module.path) if path in readers]
            if around and around[0] != module.path:
                inner.setdefault(around[0], []).append(module.path)
        return inner

    def owners(self, position: int) -> tuple[str, ...]:
        """Paths of the module of a node; for a fused one of those that have weights."""
        claim = self._file.claims[position]  # the main graph's nodes have the first numbers
        if claim is None or not claim.covers:
            return () if claim is None else (claim.module,)
        modules = (self._file.tree[path] for path in claim.covers if path in self._file.tree)
        return tuple(module.path for module in modules if module.parameters or module.buffers)

    def is_read_once(self, name: str) -> bool:
        """Whether the nodes that read an initializer work for the same modules."""
        return len(self._owners_by_name[name]) == 1

    @cached_property
    def _owners_by_name(self) -> dict[str, set[tuple[str, ...]]]:
        owners: dict[str, set[tuple[str, ...]]] = {}
        for read in self.reads:
            owners.setdefault(read.name, set()).add(read.owners)
        return owners

    def has_weight(self, path: str, name: str) -> bool:
        """Whether a module has a weight of the size of an initializer."""
        size = math.prod(self._tensors[name].dims)
        return path in self._file.tree and size in self._sizes(path)

    def _sizes(self, path: str) -> list[int]:
        module = self._file.tree[path]
        return [math.prod(weight.shape) for weight in (*module.parameters, *module.buffers)]

    def largest_weight(self, path: str) -> int:
        """Number of elements of the largest weight of a module."""
        return max(self._sizes(path), default=0) if path in self._file.tree else 0

    def _source(self, name: str, reader: int) -> tuple[int, str]:
        """The node that reads an initializer, and the initializer, after what moves numbers."""
        position = self.graph.producer.get(name)
        while position is not None and self.graph.is_constant[position]:
            node = self.graph.nodes[position]
            if node.op_type not in {*_MOVING, "DequantizeLinear"} or not node.input:
                break
            reader = position if node.op_type == "DequantizeLinear" else reader
            name = node.input[0]
            position = self.graph.producer.get(name)
        return reader, name

    def _scale_names(self) -> set[str]:
        """The initializers that are scales and zero points of weights."""
        names: set[str] = set()
        for position, node in enumerate(self.graph.nodes):
            if node.op_type in {"DequantizeLinear", "QuantizeLinear"}:
                names.update(node.input[1:])
            for name in filter(self._tensors.__contains__, node.input):
                if self._tensors[name].data_type not in _FLOATS:
                    names.update(self._scale(position, name) or ())
        return names

    def _scale(self, position: int, name: str) -> Scale | None:
        return integer_scale(self.graph, position, name) or self._scales.of(name)

    def numbers(self, read: WeightRead) -> WeightNumbers | None:
        """The numbers of a weight; None where it holds none, or its scale is not known."""
        tensor = self._tensors[read.name]
        stored = self._array(read.name)
        if stored is None:
            return None
        if tensor.data_type in _FLOATS:
            return WeightNumbers(stored, float_step(stored, tensor.data_type))
        node = self.graph.nodes[read.node]
        numbers = dequantise(node, stored, self._array)
        if numbers is not None:
            return with_step(numbers, node, stored, self._array)
        scale = self._scale(read.node, read.name)
        return None if scale is None else self._scaled(stored, *scale)

    def array(self, read: WeightRead) -> Array | None:
        """The real numbers of a weight; None where these are not known."""
        numbers = self.numbers(read)
        return None if numbers is None else numbers.array

    def _array(self, name: str) -> Array | None:
        tensor = self._tensors.get(name)
        return None if tensor is None else self._file.container.array(tensor)

    def _scaled(self, stored: Array, scale_name: str, zero_name: str) -> WeightNumbers | None:
        """The numbers of a weight with one scale, or with one for each channel."""
        scale, zero_point = self._array(scale_name), self._array(zero_name)
        if scale is None:
            return None
        for axis in range(stored.ndim - 1, -1, -1):
            shape = [1] * stored.ndim
            if scale.size > 1:
                shape[axis] = stored.shape[axis]
            if scale.size in {1, stored.shape[axis]}:
                step = scale.astype(np.float32).reshape(shape)
                centred = stored.astype(np.float32)
                if zero_point is not None:
                    zero_shape = shape if zero_point.size > 1 else [1] * stored.ndim
                    centred -= zero_point.astype(np.float32).reshape(zero_shape)
                return WeightNumbers(centred * step, step, edges(stored))
        return None
