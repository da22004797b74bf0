"""Each tool that gets a selection leaves the selected nodes alone, and takes all others."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxconverter_common import float16 as common_float16
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers import float16 as ort_float16

from modelexport.rewriter import annotate, select_nodes
from tests.helpers.commands import Run
from tests.helpers.handmade import layers

WIDTH = 4
MODULE = "layer.1"
CPU, AZURE = "CPUExecutionProvider", "AzureExecutionProvider"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Eleven layers, so that one layer's name begins like another's."""
    model, record = layers(*["Relu"] * 11)
    onnx.save(model, tmp_path / "plain.onnx")
    annotate(tmp_path / "plain.onnx", record, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


def _arguments(run: Run, file: Path, form: str, *more: str) -> dict[str, list[str]]:
    ran = run("select", file, "--module", MODULE, "--format", form, *more)
    assert (ran.code, ran.err) == (0, "")
    answer: dict[str, list[str]] = json.loads(ran.out)
    return answer


class _Data(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self._rows = iter(np.random.default_rng(0).standard_normal((3, 2, WIDTH)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        row = next(self._rows, None)
        return None if row is None else {"x": row.astype(np.float32)}


def _dynamic(file: Path, out: Path, names: list[str]) -> None:
    quantize_dynamic(file, out, nodes_to_exclude=names)


def _static(kind: QuantFormat) -> Callable[[Path, Path, list[str]], None]:
    def quantise(file: Path, out: Path, names: list[str]) -> None:
        quantize_static(file, out, _Data(), quant_format=kind, nodes_to_exclude=names)

    return quantise


def _four_bits(file: Path, out: Path, names: list[str]) -> None:
    quantiser = MatMulNBitsQuantizer(onnx.load(file), block_size=16, nodes_to_exclude=names)
    quantiser.process()
    quantiser.model.save_model_to_file(str(out))


QUANTISERS = {
    "dynamic": _dynamic,
    "operators": _static(QuantFormat.QOperator),
    "qdq": _static(QuantFormat.QDQ),
    "four bits": _four_bits,
}


def _real_products(file: Path) -> set[str]:
    """Weights of products that are computed in real numbers, without what a tool added to names."""
    model = onnx.load(file)
    weights = {w.name for w in model.graph.initializer if w.data_type == TensorProto.FLOAT}
    products = [n for n in model.graph.node if n.op_type in {"MatMul", "Gemm"}]
    return {name for node in products for name in node.input if name in weights}


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("tool", QUANTISERS)
def test_a_quantiser_leaves_the_selection_alone(
    run: Run, network: Path, tool: str, inverted: bool
) -> None:
    """And quantises every other product; with --not it is the other way round."""
    before = _real_products(network)
    inside = {name for name in before if name.startswith(f"{MODULE}.")}
    assert 0 < len(inside) < len(before)
    names = _arguments(run, network, "ort", *(["--not"] if inverted else []))
    out = network.with_name("q.onnx")
    QUANTISERS[tool](network, out, names["nodes_to_exclude"])
    assert _real_products(out) == (before - inside if inverted else inside)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("tool", ["dynamic", "operators", "qdq"])
def test_a_gemm_is_left_alone_too(run: Run, network: Path, tool: str, inverted: bool) -> None:
    """The dynamic quantiser splits a Gemm before it looks at names: both names are in the form."""
    model = onnx.load(network)
    for number, node in reversed([*enumerate(model.graph.node)]):
        if node.op_type == "MatMul":  # with the addition behind it
            node.op_type = "Gemm"
            addition = model.graph.node[number + 1]
            node.input.append(addition.input[1])
            node.output[0] = addition.output[0]
            del model.graph.node[number + 1]
    onnx.save(model, network)
    before = {n.input[1] for n in model.graph.node if n.op_type == "Gemm"}
    inside = {name for name in before if name.startswith(f"{MODULE}.")}
    assert 0 < len(inside) < len(before)
    names = _arguments(run, network, "ort", *(["--not"] if inverted else []))
    out = network.with_name("q.onnx")
    QUANTISERS[tool](network, out, names["nodes_to_exclude"])
    real = {name.removesuffix("_Transposed") for name in _real_products(out)} & before
    assert real == (before - inside if inverted else inside)


@pytest.mark.parametrize("converter", [ort_float16, common_float16])
def test_a_converter_leaves_the_selection_alone(run: Run, network: Path, converter: object) -> None:
    """Its weights stay in 32 bits; all others have 16."""
    names = _arguments(run, network, "fp16")["node_block_list"]
    model = converter.convert_float_to_float16(  # type: ignore[attr-defined]
        onnx.load(network), node_block_list=names
    )
    kept = {w.name for w in model.graph.initializer if w.data_type == TensorProto.FLOAT}
    every = {w.name for w in onnx.load(network).graph.initializer}
    assert kept == {name for name in every if name.startswith(f"{MODULE}.")}
    for weight in model.graph.initializer:
        numpy_helper.to_array(weight)


def test_onnxruntimes_converter_leaves_weights_alone_whose_types_are_listed(
    run: Run, network: Path
) -> None:
    """Files of the dynamo exporter list them. onnxconverter-common rounds such weights."""
    model = onnx.load(network)
    for weight in model.graph.initializer:
        kind, shape = weight.data_type, list(weight.dims)
        model.graph.value_info.append(helper.make_tensor_value_info(weight.name, kind, shape))
    onnx.save(model, network)
    names = _arguments(run, network, "fp16")["node_block_list"]
    half = ort_float16.convert_float_to_float16(onnx.load(network), node_block_list=names)
    kept = {w.name for w in half.graph.initializer if w.data_type == TensorProto.FLOAT}
    every = {w.name for w in model.graph.initializer}
    assert kept == {name for name in every if name.startswith(f"{MODULE}.")}


@pytest.mark.parametrize("form", ["regex", "modelopt", "inc"])
def test_patterns_match_the_selection_only(run: Run, network: Path, form: str) -> None:
    """As these tools match: from the beginning of a name; also names with special characters."""
    model = onnx.load(network)
    special = ["a.b", "a+b", "(a)", "a|b", "a b"]
    for number, node in enumerate(model.graph.node):
        tail = special[number % len(special)]
        node.name = f"{node.name}{tail}"
    model.graph.node[-1].name = model.graph.node[3].name.replace(".", "x") + "more"
    onnx.save(model, network)
    ran = run("select", network, "--module", MODULE, "--format", form)
    if form == "regex":
        patterns = [ran.out.rstrip("\n")]
    else:
        (patterns,) = json.loads(ran.out).values()
    matched = [n.name for n in model.graph.node if any(re.match(p, n.name) for p in patterns)]
    assert matched == select_nodes(network, [MODULE]).names


def test_quark_takes_exact_names(run: Run, network: Path) -> None:
    """It reads a name as a pattern only when that is anchored and has a wildcard.

    It fuses nodes before it reads names, unless it is told not to.
    """
    arguments = _arguments(run, network, "quark")
    assert arguments.pop("exclude") == select_nodes(network, [MODULE]).names
    assert arguments == {"OptimizeModel": False, "SimplifyModel": False}


def test_olive_reads_modules_from_names(run: Run, network: Path) -> None:
    """Part 0 and part 1, by the rule by which Olive reads names; other names are refused."""
    options = ["--module", "layer.10", "--module", "layer.1", "--format", "olive-split"]
    refused = run("select", network, *options)
    assert (refused.code, refused.out) == (2, "")
    assert "--inject names" in refused.err
    named = network.with_name("named.onnx")
    annotate(network, None, named, inject=["metadata", "names"])
    ran = run("select", named, *options)
    parts = dict(item.split("=") for item in ran.out.strip().split(";"))
    depth = len(next(iter(parts)).split("."))
    assigned: dict[str, set[str]] = {}
    for node in onnx.load(named).graph.node:  # the rule of Olive's SplitModel
        steps = node.name.replace("/", ".").lstrip(".").split(".")
        namespace = ".".join(steps[:depth])
        if namespace in parts:
            assigned.setdefault(parts[namespace], set()).add(node.name)
    assert assigned == {
        "0": set(select_nodes(named, ["layer.10"]).names),
        "1": set(select_nodes(named, ["layer.1"]).names),
    }


def test_onnxruntime_reads_layer_annotations(run: Run, network: Path) -> None:
    """The copy carries them on the selected nodes only, loads with the setting, and runs alike."""
    out = network.with_name("placed.onnx")
    ran = run("select", network, "--module", MODULE, "--format", "layer-ann", "-o", out)
    assert (ran.code, ran.err) == (0, "")
    model = onnx.load(out)
    annotated = {
        node.name
        for node in model.graph.node
        if {"layer_ann": "cpu"}.items() <= {e.key: e.value for e in node.metadata_props}.items()
    }
    assert annotated == set(select_nodes(network, [MODULE]).names)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.layer_assignment_settings", ran.out.strip())
    x = {"x": np.ones((2, WIDTH), np.float32)}
    placed = ort.InferenceSession(out, options, providers=["CPUExecutionProvider"])
    plain = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(placed.run(None, x)[0], plain.run(None, x)[0])


def _given_up(file: Path, setting: str) -> list[str]:
    """The nodes that the processor does not get, by name.

    The Azure provider comes with onnxruntime and runs no operators of ONNX. So a session in which
    it has a node is refused, and the refusal names the node. Without the annotation of that node,
    the next one is named.
    """
    model, names = onnx.load(file), list[str]()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.layer_assignment_settings", setting)
    while len(names) <= len(model.graph.node):
        try:
            ort.InferenceSession(model.SerializeToString(), options, providers=[CPU, AZURE])
        except ort_errors.NotImplemented as refusal:
            names += re.findall(r"node with name '(.*)'", str(refusal))
        else:
            break
        (node,) = (node for node in model.graph.node if node.name == names[-1])
        kept = [entry for entry in node.metadata_props if entry.key != "layer_ann"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    return names


@pytest.mark.parametrize("inverted", [False, True])
def test_onnxruntime_takes_the_selection_from_the_processor(
    run: Run, network: Path, inverted: bool
) -> None:
    """The provider that is named as the device gets the selected nodes, and no others."""
    assert {AZURE, CPU} <= set(ort.get_available_providers())
    out = network.with_name("placed.onnx")
    command = ["select", network, "--module", MODULE, *(["--not"] if inverted else [])]
    ran = run(*command, "--format", "layer-ann", "--device", AZURE, "-o", out)
    assert (ran.code, ran.err) == (0, "")
    selected = select_nodes(network, [MODULE], inverted=inverted)
    assert 0 < len(selected.names) < selected.total
    assert _given_up(out, ran.out.strip()) == selected.names
    assert _given_up(network, ran.out.strip()) == []
