"""Small good files of every kind, from which damaged ones are made."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.module_tree import Module
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

_PLAN = """[[models]]
source = "file.py:make"
[options]
inject = ["metadata"]
"""
_CONFIG = '{"inputs": {"x": {"shape": [1, 8], "dtype": "int64", "range": [0, 5]}}, "opset": 18}'


def write_seeds(folder: Path) -> None:
    """Write all of them into a folder."""
    model = _model()
    onnx.save(model, folder / "plain.onnx")
    (folder / "record.json").write_bytes(encode_record(_record(model)))
    annotate(folder / "plain.onnx", folder / "record.json", folder / "annotated.onnx")
    injected = list(Inject)
    annotate(folder / "plain.onnx", folder / "record.json", folder / "all.onnx", inject=injected)
    location = "weights.bin"
    onnx.save(
        model, folder / "out.onnx", save_as_external_data=True, location=location, size_threshold=0
    )
    (folder / "plan.toml").write_text(_PLAN)
    (folder / "config.json").write_text(_CONFIG)


def _model() -> onnx.ModelProto:
    model = parser.parse_model(_GRAPH)
    numbers = np.random.default_rng(0)
    for name in ("w0", "w1"):
        weight = numbers.standard_normal((4, 4)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    return model


def _record(model: onnx.ModelProto) -> Record:
    modules = ("", "part", "part.0", "part.1")
    ops = tuple(
        Op("", number, node.name, node.op_type, tuple(node.output), scope, inputs=tuple(node.input))
        for number, (node, scope) in enumerate(zip(model.graph.node, _SCOPES, strict=True))
    )
    return Record(
        source=Source("net", "dynamo", 18),
        digest=graph_digest(model),
        modules=tuple(Module(p, "Part" if p else "Net", "net", calls=1) for p in modules),
        ops=ops,
        tensors=tuple(Tensor(f"w{n}", f"part.{n}.weight") for n in range(2)),
        probe=Probe((ProbeInput.from_array("x", np.ones((2, 4), np.float32)),)),
    )
