"""Other versions of a model: with other weights in one module, within another model."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from modelexport.hierarchy.record import Record
from modelexport.rewriter import annotate
from tests.helpers.handmade import TWO_LAYERS_MODULES, TWO_LAYERS_SCOPES, record_of, two_layers


def perturb_module(source: Path, target: Path, record: Record, module: str) -> Path:
    """A copy in which the weights of one module, whatever they are called, have other values."""
    weights = {t.name for t in record.tensors if (t.parameter or "").rpartition(".")[0] == module}
    model = onnx.load(source)
    for weight in model.graph.initializer:
        if weight.name in weights:
            array = numpy_helper.to_array(weight)
            random = np.random.default_rng(array.size).standard_normal(array.shape)
            changed = (array + random).astype(array.dtype)
            weight.CopyFrom(numpy_helper.from_array(changed, weight.name))
    onnx.save(model, target)
    return target


def write_layers(folder: Path, name: str, *, prefix: str = "", more: bool = False) -> Path:
    """Two layers, annotated; within another module, or with a module more."""
    modules = {prefix + p if p else p: c for p, c in TWO_LAYERS_MODULES.items()}
    scopes = [s if s is None else prefix + s for s in TWO_LAYERS_SCOPES[:-1]]
    scopes.append(prefix.rstrip("."))
    model = two_layers()
    for weight in model.graph.initializer:
        for node in model.graph.node:
            node.input[:] = [prefix + i if i == weight.name else i for i in node.input]
        weight.name = prefix + weight.name
    if prefix:
        inner = prefix.rstrip(".")
        modules = {"": "Outer", inner: "Net", **{p: c for p, c in modules.items() if p}}
    if more:
        model.graph.node[-1].output[0] = "inside"
        model.graph.node.append(onnx.helper.make_node("Tanh", ["inside"], ["y"], name="more"))
        modules, scopes = {**modules, "head": "Head"}, [*scopes, "head"]
    onnx.save(model, folder / f"{name}.plain.onnx")
    annotate(
        folder / f"{name}.plain.onnx", record_of(model, modules, scopes), folder / f"{name}.onnx"
    )
    return folder / f"{name}.onnx"
