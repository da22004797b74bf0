"""Small good files of every kind, from which damaged ones are made."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from modelexport.cli.main import main
from modelexport.hierarchy.choices import Inject, PartRole
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

_PLAN = """out = "results"
[defaults]
steps = ["annotate", "validate"]
timeout = 600
memory = "8 GiB"
[defaults.trace]
exporter = "auto"
opset = 18
[defaults.annotate]
tag_style = "path"
[matrix]
inject = ["metadata", ["functions", "names"]]
[[models]]
onnx = "plain.onnx"
record = "record.json"
[[models]]
name = "second"
source = "nothing.py:make"
steps = ["trace", "annotate"]
matrix = { exporter = ["dynamo", "torchscript"] }
annotate = { depth = 1, report = true }
"""
_PLAN_YAML = """out: results
defaults: &usual
  steps: [annotate, validate]
  annotate: {depth: 2, inject: [metadata]}
models:
  - {onnx: plain.onnx, record: record.json, name: one}
  - onnx: flow.onnx
    record: flow.json
    matrix: {inject: [metadata, names]}
"""
_CONFIG = {
    "inputs": {"x": {"shape": [1, 8], "dtype": "int64", "range": [0, 5]}},
    "opset": 18,
    "exporter": "dynamo",
    "dynamic_axes": {"x": {"0": "batch"}},
    "output_names": ["y"],
    "task": "text-classification",
}
_CONFIG_TOML = """opset = 18
exporter = "torchscript"
input_text = "words"
[inputs.x]
shape = [1, 8]
dtype = "float32"
[dynamic_axes.x]
0 = "batch"
"""
_CONFIG_YAML = "opset: 17\ndynamic: true\ninputs:\n  x: {shape: [2, 3], range: [0.5, 1.5]}\n"
_METADATA = "Metadata-Version: 2.4\nName: modelexport\nVersion: 1.0\nRequires-Dist: numpy>=1.26\n"


def write_seeds(folder: Path) -> None:
    """Write all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _with_weights(_GRAPH)
    onnx.save(model, folder / "plain.onnx")
    scopes = dict(zip((node.name for node in model.graph.node), _SCOPES, strict=True))
    _write_record(folder / "record.json", model, _CLASSES, scopes)
    annotate(folder / "plain.onnx", folder / "record.json", folder / "annotated.onnx")
    injected = list(Inject)
    annotate(folder / "plain.onnx", folder / "record.json", folder / "all.onnx", inject=injected)
    location = "weights.bin"
    onnx.save(
        model, folder / "out.onnx", save_as_external_data=True, location=location, size_threshold=0
    )
    flow = _with_weights(_FLOW_GRAPH)
    onnx.save(flow, folder / "bare.onnx")
    _write_record(folder / "flow.json", flow, _FLOW_CLASSES, _FLOW_SCOPES)
    annotate(folder / "bare.onnx", folder / "flow.json", folder / "flow.onnx")
    (folder / "bare.onnx").unlink()
    _write_texts(folder)
    np.savez(folder / "inputs.npz", x=np.ones((2, 4), np.float32))
    _write_parts(folder)
    _write_profiles(folder, list(scopes))


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


def _write_record(
    file: Path, model: onnx.ModelProto, classes: dict[str, str], scopes: dict[str, str | None]
) -> None:
    """Write the record of a model; the classes are by module path, the scopes by node name."""
    ops = tuple(
        Op(
            *(key.graph, key.position, node.name, op_type(node), tuple(node.output)),
            scopes.get(node.name),
            inputs=tuple(node.input),
        )
        for key, node in walk_nodes(model)
    )
    record = Record(
        source=Source("net", "dynamo", 18),
        digest=graph_digest(model),
        modules=tuple(Module(path, name, "net", calls=1) for path, name in classes.items()),
        ops=ops,
        tensors=tuple(
            Tensor(f"w{n}", f"{path}.weight") for n, path in enumerate(list(classes)[2:4])
        ),
        probe=Probe(tuple(_probe_inputs(model))),
    )
    file.write_bytes(encode_record(record))


def _probe_inputs(model: onnx.ModelProto) -> Iterator[ProbeInput]:
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [axis.dim_value or 2 for axis in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        yield ProbeInput.from_array(value.name, np.ones(shape, dtype))


def _write_texts(folder: Path) -> None:
    (folder / "plan.toml").write_text(_PLAN)
    (folder / "plan.yaml").write_text(_PLAN_YAML)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    (folder / "config.toml").write_text(_CONFIG_TOML)
    (folder / "config.yaml").write_text(_CONFIG_YAML)
    (folder / "METADATA").write_text(_METADATA)


def _write_profiles(folder: Path, nodes: Sequence[str]) -> None:
    """Write profiles of `annotated.onnx` in all formats, and what commands print as JSON."""
    times = [{"name": n, "timeMs": 7.0, "averageMs": 2.0, "medianMs": 1.5} for n in nodes]
    (folder / "trtexec.json").write_text(json.dumps([{"count": 7}, *times]))
    layers = [
        {"Name": n, "LayerType": "a", "Metadata": f"[ONNX Layer: {n}]\x1e[ONNX Layer: {n}]"}
        for n in nodes
    ]
    (folder / "layers.json").write_text(json.dumps({"Layers": layers}))
    head = "layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms)"
    rows = [f"{n};Status.EXECUTED;Any;jit;0.{i + 1:03};0.001" for i, n in enumerate(nodes)]
    (folder / "openvino.csv").write_text("\n".join([head, *rows, "Total;;;;1;1"]))
    ran = [
        {"name": n, "node_type": "A", "status": "Status.EXECUTED", "real_time": "0.1"}
        for n in nodes
    ]
    report = {"report_type": "detailed", "detailed_performance": [{"nodes": ran}] * 2}
    (folder / "openvino.json").write_text(json.dumps(report))
    data = '<data originalLayersNames="{}" execTimeMcs="{}" execOrder="{}"/>'
    layers = "".join(
        f'<layer id="{i}" name="L{i}" type="A">{data.format(n, i + 1, i)}</layer>'
        for i, n in enumerate(nodes)
    )
    (folder / "graph.xml").write_text(f'<net name="graph"><layers>{layers}</layers></net>')
    columns = "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level"
    rows = [
        f"1,NODE,{i + 1},CYCLES,BACKEND,SUB-EVENT,{n}:OpId_{i} (cycles)"
        for i, n in enumerate(nodes)
    ]
    (folder / "qnn.csv").write_text("\n".join([f"{columns},Event Identifier", *rows]))
    (folder / "ort.json").write_bytes(_onnxruntime_profile(folder / "plain.onnx"))
    shown = ("annotated.onnx", "--output-format", "json")
    _write_printed(folder / "profile.json", "profile", *shown, "--runs", "1", "--warmup", "0")
    _write_printed(folder / "comparison.json", "compare", "all.onnx", *shown, "--numeric")


def _onnxruntime_profile(model: Path) -> bytes:
    """The profile that onnxruntime writes of a run."""
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.intra_op_num_threads = 1
    options.profile_file_prefix = str(model.with_name("ort"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {"x": np.ones((2, 4), np.float32)})
    profile = Path(session.end_profiling())
    try:
        return profile.read_bytes()
    finally:
        profile.unlink()


def _write_printed(file: Path, *command: str) -> None:
    """Write what a command prints; it runs in the file's folder."""
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(file.parent)
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(list(command))
    finally:
        os.chdir(before)
    if not printed.getvalue():
        sys.exit(f"{command[0]} printed nothing for {file.name}")
    file.write_text(printed.getvalue())
