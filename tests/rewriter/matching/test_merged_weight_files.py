"""Weights that tools put together (query, key and value in one) or took apart."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from agreement.scrambling import scramble
from modelexport.rewriter import MatchOptions, annotate
from tests.helpers.traced import TracedModels


def beside_each_other(model: onnx.ModelProto) -> Iterator[list[onnx.NodeProto]]:
    """Multiplications of one value with matrices of one height."""
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    groups: dict[tuple[str, int], list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and len(shapes.get(node.input[1], ())) == 2:
            groups.setdefault((node.input[0], shapes[node.input[1]][0]), []).append(node)
    yield from (group for group in groups.values() if len(group) > 1)


def merged(model: onnx.ModelProto) -> dict[str, list[str]]:
    """Merge such multiplications in place: the new weight's name, and those it is made of."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    made = {}
    for group in list(beside_each_other(model)):
        names = [node.input[1] for node in group]
        parts = [numpy_helper.to_array(weights[name]) for name in names]
        key = f"merged_{len(made)}"
        made[key] = names
        model.graph.initializer.append(numpy_helper.from_array(np.concatenate(parts, axis=1), key))
        sizes = numpy_helper.from_array(np.array([p.shape[1] for p in parts]), f"{key}_sizes")
        model.graph.initializer.append(sizes)
        place = list(model.graph.node).index(group[0])
        outputs = [node.output[0] for node in group]
        for node in group:
            model.graph.node.remove(node)
        model.graph.node.insert(
            place, helper.make_node("MatMul", [group[0].input[0], key], [f"{key}_out"])
        )
        model.graph.node.insert(
            place + 1, helper.make_node("Split", [f"{key}_out", sizes.name], outputs, axis=-1)
        )
    return made


@pytest.mark.parametrize("run", [False, True], ids=["unexecuted", "run"])
@pytest.mark.parametrize("name", ["bert", "llama", "vit"])
def test_a_node_that_reads_a_merged_weight_covers_its_modules(
    traced: TracedModels, name: str, run: bool, tmp_path: Path
) -> None:
    """The modules whose weights were put together are all in the covers of who reads them."""
    done = traced(name, "torchscript")
    model = onnx.load(done.onnx_path)
    parameters = {t.name: t.parameter for t in done.record.tensors if t.parameter}
    made = merged(model)
    assert made
    expected = {
        key: {done.record.tree.owner(parameters[name]) for name in names if name in parameters}
        for key, names in made.items()
    }
    readers = [(n, node.input[1]) for n, node in enumerate(model.graph.node) if node.input[1:]]
    places = {name: n for n, name in readers if name in made}
    path = tmp_path / "merged.onnx"
    onnx.save(scramble(model), path)
    report = annotate(path, done.record, None, matching=MatchOptions(run=run))
    said = {key: report.decisions[places[key]] for key in made}
    assert {key: set(decision.covers) for key, decision in said.items()} == expected


def split(model: onnx.ModelProto, parts: int) -> dict[int, int]:
    """Split the matrices of multiplications: place of each part to that of the whole before."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes, origin = [], {}
    for place, node in enumerate(model.graph.node):
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or len(weight.dims) != 2 or weight.dims[1] % parts:
            nodes.append(node)
            continue
        pieces = np.split(numpy_helper.to_array(weight), parts, axis=1)
        outputs = [f"{node.output[0]}_{n}" for n in range(parts)]
        for output, piece in zip(outputs, pieces, strict=True):
            held = numpy_helper.from_array(np.ascontiguousarray(piece), f"{output}_held")
            model.graph.initializer.append(held)
            origin[len(nodes)] = place
            nodes.append(helper.make_node("MatMul", [node.input[0], held.name], [output]))
        nodes.append(helper.make_node("Concat", outputs, node.output, axis=-1))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return origin


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("name", ["bert", "llama", "gpt2"])
def test_parts_of_a_weight_are_laid_together(
    traced: TracedModels, name: str, parts: int, tmp_path: Path
) -> None:
    """A node that reads a part of a weight is of the module that read the whole."""
    done = traced(name, "torchscript")
    model = onnx.load(done.onnx_path)
    origin = split(model, parts)
    assert origin
    path = tmp_path / "split.onnx"
    onnx.save(scramble(model), path)
    report = annotate(path, done.record, None, matching=MatchOptions(run=False))
    modules = {(op.graph, op.index): op.module for op in done.record.ops}
    said = {place: report.decisions[place].module for place in origin}
    assert said == {place: modules["", before] for place, before in origin.items()}
