"""Good files that are no models: plans, configurations, profiles, code, inputs."""

import contextlib
import io
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from modelexport.cli.main import main

CODE = "net.py"
"""The file of Python in which the source lines of all records lie."""

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
source = "net.py:make"
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


def write_texts(folder: Path) -> None:
    """Write plans, configurations, the metadata of a package and a file of Python."""
    (folder / "plan.toml").write_text(_PLAN)
    (folder / "plan.yaml").write_text(_PLAN_YAML)
    (folder / "plan.json").write_text(json.dumps(tomllib.loads(_PLAN)))
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    (folder / "config.toml").write_text(_CONFIG_TOML)
    (folder / "config.yaml").write_text(_CONFIG_YAML)
    (folder / "METADATA").write_text(_METADATA)
    (folder / CODE).write_text("".join(f"def layer{n}(x):  # π\n" for n in range(12)))


def write_profiles(folder: Path, nodes: Sequence[str]) -> None:
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
    quantised = ("int8.onnx", *shown[1:], "--numeric", "--suggest")
    _write_printed(folder / "suggestion.json", "compare", "annotated.onnx", *quantised)


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
