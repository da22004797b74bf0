"""Small good files of every kind, from which damaged ones are made."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from fuzzing.seed_texts import CODE, write_profiles, write_texts
from modelexport.hierarchy.choices import Inject, PartRole
from modelexport.hierarchy.fingerprints import Array, value_fingerprint, weight_fingerprint
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import op_type, walk_nodes
from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.part_manifest import (
    MANIFEST,
    Connection,
    Part,
    PartManifest,
    PartValue,
    encode_part_manifest,
)
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor, encode_record
from modelexport.rewriter import annotate

_GRAPH = """<ir_version: 10, opset_import: ["": 18]> g (float[2, 4] x) => (float[2, 4] y) {
    [m0] a = MatMul (x, w0)
    [r0] b = Relu (a)
    [m1] c = MatMul (b, w1)
    [r1] y = Relu (c)
}"""
_SCOPES = ("part.0", "part.0", "part.1", "part.1")
_CLASSES = {"": "Net", "part": "Part", "part.0": "Part", "part.1": "Part"}

_FLOW_GRAPH = """<ir_version: 10, opset_import: ["": 18, "own": 1]>
flow (float[N, 4] x, bool on, int64 turns) => (float[N, 4] y, float[N, 4] z) {
    [two] two = Constant <value = float {2.0}> ()
    [scale] a = Mul (x, two)
    [twice] b = own.Twice <times = 3> (a)
    [choose] c = If (on) <
        then_branch = then () => (float[N, 4] t) {
            [then_mul] m = MatMul (b, w0) [then_end] t = Relu (m)
        },
        else_branch = other () => (float[N, 4] e) { [else_end] e = Neg (b) }
    >
    [loop] y, z = Loop (turns, on, c) <
        body = turn (int64 i, bool go, float[N, 4] v) => (bool more, float[N, 4] w, float[N, 4] k) {
            [step] w = MatMul (v, w1) [keep] k = Identity (v) [next] more = Identity (go)
        }
    >
}
<domain: "own", opset_import: ["": 18]>
Twice <times> (p) => (q) { [f0] r = Add (p, p) [f1] q = Tanh (r) }
"""
_FLOW_CLASSES = {"": "Flow", "head": "Head", "body": "Block", "body.0": "Block", "tail": "Tail"}
_FLOW_SCOPES = {
    "two": None,
    "scale": "head",
    "twice": "head",
    "then_mul": "body.0",
    "then_end": "body.0",
    "else_end": "body",
    "step": "tail",
    "keep": "tail",
}

_QUANTISED_GRAPH = """<ir_version: 10, opset_import: ["": 18]>
g (float[2, 4] x) => (float[2, 4] y)
<float s = {0.05}, int8 z = {0}, float ws = {0.02}, int8 wz = {0}>
{
    [q0] xq = QuantizeLinear (x, s, z)
    [d0] xd = DequantizeLinear (xq, s, z)
    [dw0] v0 = DequantizeLinear (w0_q, ws, wz)
    [m0] a = MatMul (xd, v0)
    [r0] b = Relu (a)
    [q1] bq = QuantizeLinear (b, s, z)
    [d1] bd = DequantizeLinear (bq, s, z)
    [dw1] v1 = DequantizeLinear (w1_q, ws, wz)
    [m1] c = MatMul (bd, v1)
    [r1] y = Relu (c)
}"""
_WEIGHT_SCALE = 0.02
"""Step between the quantised weights of that graph."""


def write_seeds(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _with_weights(_GRAPH)
    onnx.save(model, folder / "plain.onnx")
    scopes = dict(zip((node.name for node in model.graph.node), _SCOPES, strict=True))
    _write_record(folder / "record.json", model, _CLASSES, scopes)
    plain, record = folder / "plain.onnx", folder / "record.json"
    annotate(plain, record, folder / "annotated.onnx", source_lines=True)
    annotate(plain, record, folder / "all.onnx", inject=list(Inject))
    annotate(plain, record, folder / "torch.onnx", torch_keys=True)
    _annotate_copy(_quantised(model), folder / "int8.onnx", record)
    location = "weights.bin"
    onnx.save(
        model, folder / "out.onnx", save_as_external_data=True, location=location, size_threshold=0
    )
    flow = _with_weights(_FLOW_GRAPH)
    _annotate_copy(flow, folder / "flow.onnx", _write_flow_record(folder / "flow.json", flow))
    write_texts(folder)
    np.savez(folder / "inputs.npz", x=np.ones((2, 4), np.float32))
    _write_parts(folder)
    write_profiles(folder, list(scopes))


def _annotate_copy(model: onnx.ModelProto, target: Path, record: Path) -> None:
    plain = target.with_name("bare.onnx")
    onnx.save(model, plain)
    annotate(plain, record, target, source_lines=True)
    plain.unlink()


def _quantised(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its weights and what it computes as numbers of 8 bits."""
    quantised = parser.parse_model(_QUANTISED_GRAPH)
    for tensor in model.graph.initializer:
        steps = np.round(numpy_helper.to_array(tensor) / _WEIGHT_SCALE).clip(-128, 127)
        quantised.graph.initializer.append(
            numpy_helper.from_array(steps.astype(np.int8), f"{tensor.name}_q")
        )
    return quantised


def _write_parts(folder: Path) -> None:
    """Write the manifest that makes two of the files a model of two parts."""
    values = (PartValue("x", "FLOAT", ("N", 4)), PartValue("y", "FLOAT", (None, 4)))
    parts = (
        Part(PartRole.ENCODER, "annotated.onnx", "record.json", values[:1], values[1:]),
        Part(PartRole.DECODER, "flow.onnx", "flow.json", values[:1], values[1:]),
    )
    connections = (Connection(parts[0].role, "y", parts[1].role, "x"),)
    manifest = PartManifest(model="net", class_name="Net", parts=parts, connections=connections)
    (folder / MANIFEST).write_bytes(encode_part_manifest(manifest))


def _with_weights(text: str) -> onnx.ModelProto:
    model = parser.parse_model(text)
    numbers = np.random.default_rng(0)
    for name in ("w0", "w1"):
        weight = numbers.standard_normal((4, 4)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    return model


def _write_flow_record(file: Path, model: onnx.ModelProto) -> Path:
    _write_record(file, model, _FLOW_CLASSES, _FLOW_SCOPES)
    return file


def _write_record(
    file: Path, model: onnx.ModelProto, classes: dict[str, str], scopes: dict[str, str | None]
) -> None:
    """Write the record of a model; the classes are by module path, the scopes by node name."""
    inputs = tuple(_probe_inputs(model))
    values = _values(model, inputs)
    ops = tuple(
        Op(
            *(key.graph, key.position, node.name, op_type(node), tuple(node.output)),
            scopes.get(node.name),
            source=f"{CODE}:{number + 1}",
            values=tuple(
                value_fingerprint(values[name]) if not key.graph and name in values else None
                for name in node.output
            ),
            inputs=tuple(node.input),
        )
        for number, (key, node) in enumerate(walk_nodes(model))
    )
    weights = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    record = Record(
        source=Source("net", "dynamo", 18),
        digest=graph_digest(model),
        modules=tuple(Module(path, name, "net", calls=1) for path, name in classes.items()),
        ops=ops,
        tensors=tuple(
            Tensor(f"w{n}", f"{path}.weight", weight_fingerprint(weights[n]))
            for n, path in enumerate(list(classes)[2:4])
        ),
        probe=Probe(inputs),
    )
    file.write_bytes(encode_record(record))


def _values(model: onnx.ModelProto, inputs: tuple[ProbeInput, ...]) -> dict[str, Array]:
    """What the nodes of the main graph compute from some inputs, by name."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    returned = {output.name for output in model.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in returned)
    session = onnxruntime.InferenceSession(
        exposed.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {probe.name: probe.to_array() for probe in inputs}
    return dict(zip(names, session.run(names, feeds), strict=True))


def _probe_inputs(model: onnx.ModelProto) -> Iterator[ProbeInput]:
    numbers = np.random.default_rng(1)
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [axis.dim_value or 2 for axis in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        drawn = numbers.standard_normal(shape) if dtype == np.float32 else np.ones(shape)
        yield ProbeInput.from_array(value.name, drawn.astype(dtype))
