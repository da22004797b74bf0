"""The commands that write files, what they read, and what they should write."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper, parser

from modelexport.hierarchy.choices import Inject, PartRole
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.part_manifest import (
    MANIFEST,
    Part,
    PartManifest,
    encode_part_manifest,
)
from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor, encode_record
from modelexport.rewriter import annotate

WIDTH = 384
_GRAPH = f"""<ir_version: 10, opset_import: ["": 18]>
g (float[2, {WIDTH}] x) => (float[2, {WIDTH}] y) {{
    [m0] a = MatMul (x, w0)
    [r0] b = Relu (a)
    [m1] c = MatMul (b, w1)
    [r1] y = Relu (c)
}}"""
_SCOPES = ("part.0", "part.0", "part.1", "part.1")
_PATHS = ("", "part", "part.0", "part.1")


_SOURCE = """import torch


def build():
    layers = [torch.nn.Linear(300, 300) for _ in range(3)]
    for layer in layers:
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(*layers), (torch.ones(2, 300),)
"""


@dataclass(frozen=True, eq=False)
class Scene:
    """A command that writes files.

    Attributes:
        name: What it is called in the table.
        line: The arguments.
        outputs: The files or folders that it writes.
        weights: The file with the weights that it reads.
        needs_torch: Whether it traces a model.
        reference: The content of the files that it writes; empty before they are known.
    """

    name: str
    line: str
    outputs: tuple[str, ...]
    weights: str = "annotated.onnx"
    needs_torch: bool = False
    reference: dict[str, bytes] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The arguments, one by one."""
        return self.line.split()


SCENES = (
    Scene(
        "annotate",
        "annotate plain.onnx --record record.json -o new.onnx --report new.json",
        ("new.onnx", "new.json"),
        "plain.onnx",
    ),
    Scene(
        "annotate, functions",
        "annotate plain.onnx --record record.json -o new.onnx --inject functions --no-run",
        ("new.onnx",),
        "plain.onnx",
    ),
    Scene(
        "annotate, external data",
        "annotate out.onnx --record record.json -o sub/new.onnx",
        ("sub/new.onnx", "sub/weights.bin"),
        "weights.bin",
    ),
    Scene("strip", "strip annotated.onnx -o new.onnx", ("new.onnx",)),
    Scene(
        "strip, functions",
        "strip folded.onnx -o new.onnx --functions",
        ("new.onnx",),
        "folded.onnx",
    ),
    Scene("strip, parts", "strip parts -o new", ("new",), "parts/annotated.onnx"),
    Scene(
        "extract",
        "extract annotated.onnx part.0 -o new.onnx --check --save-inputs new.npz",
        ("new.onnx", "new.npz"),
    ),
    Scene(
        "extract, external data",
        "extract taggedout.onnx part.1 -o sub/new.onnx",
        ("sub/new.onnx", "sub/new.onnx.data"),
        "weights.bin",
    ),
    Scene("extract, parts", "extract parts part.0 -o new", ("new",), "parts/annotated.onnx"),
    Scene("split", "split annotated.onnx -o new --parts 2 --check", ("new",)),
    Scene("split, assignments", "split annotated.onnx -o new --parts 2 --assignments", ("new",)),
    Scene("split, parts", "split parts -o new --parts 2", ("new",), "parts/annotated.onnx"),
    Scene("annotate, parts", "annotate parts -o new --no-run", ("new",), "parts/plain.onnx"),
    Scene("report", "report annotated.onnx -o new.html", ("new.html",)),
    Scene("report, two", "report annotated.onnx taggedout.onnx -o new.html", ("new.html",)),
    Scene(
        "trace",
        "trace net.py:build new.onnx --exporter torchscript",
        ("new.onnx", "new.trace.json"),
        "net.py",
        needs_torch=True,
    ),
    Scene(
        "export",
        "export net.py:build new.onnx --exporter torchscript --report new.json",
        ("new.onnx", "new.json"),
        "net.py",
        needs_torch=True,
    ),
    Scene(
        "select",
        "select annotated.onnx --module part.0 --format layer-ann -o new.onnx",
        ("new.onnx",),
    ),
    Scene(
        "select, parts",
        "select parts --module part.0 --format layer-ann -o new",
        ("new",),
        "parts/annotated.onnx",
    ),
    Scene(
        "profile, optimised",
        "profile annotated.onnx --runs 1 --warmup 0 --save-optimised new.onnx",
        ("new.onnx",),
    ),
    Scene(
        "profile, import",
        "profile annotated.onnx --import times.json --folded-stacks new.txt --speedscope new.json",
        ("new.txt", "new.json"),
    ),
)


def write_inputs(folder: Path) -> None:
    """Write what the scenes read into a folder: models of some megabytes and a record."""
    model = parser.parse_model(_GRAPH)
    numbers = np.random.default_rng(0)
    for name in ("w0", "w1"):
        weight = numbers.standard_normal((WIDTH, WIDTH)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    (folder / "sub").mkdir()
    onnx.save(model, folder / "plain.onnx")
    (folder / "record.json").write_bytes(encode_record(_record(model)))
    annotate(folder / "plain.onnx", folder / "record.json", folder / "annotated.onnx")
    functions = [Inject.FUNCTIONS]
    annotate(
        folder / "plain.onnx", folder / "record.json", folder / "folded.onnx", inject=functions
    )
    for source, target in (("plain", "out"), ("annotated", "taggedout")):
        onnx.save(
            onnx.load(folder / f"{source}.onnx"),
            folder / f"{target}.onnx",
            save_as_external_data=True,
            location="weights.bin" if source == "plain" else "tagged.bin",
            size_threshold=0,
        )
    _share_weights(folder / "taggedout.onnx", folder / "tagged.bin")
    _write_parts(folder)
    (folder / "net.py").write_text(_SOURCE)
    times = [{"name": node.name, "averageMs": 2.0} for node in model.graph.node]
    (folder / "times.json").write_text(str([{"count": 7}, *times]).replace("'", '"'))


def _write_parts(folder: Path) -> None:
    """Write a folder of two parts: the plain file and the annotated one, each with its record."""
    inner = folder / "parts"
    inner.mkdir()
    parts = []
    for role, name in ((PartRole.ENCODER, "plain"), (PartRole.DECODER, "annotated")):
        parts.append(Part(role, f"{name}.onnx", f"{name}.json", (), ()))
        shutil.copy(folder / f"{name}.onnx", inner)
        shutil.copy(folder / "record.json", inner / f"{name}.json")
    manifest = PartManifest(model="net", class_name="Net", parts=tuple(parts), connections=())
    (inner / MANIFEST).write_bytes(encode_part_manifest(manifest))


def _share_weights(file: Path, own: Path) -> None:
    """Let the annotated file read the weights of the plain one, which are the same bytes."""
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "weights.bin"
    file.write_bytes(model.SerializeToString())
    own.unlink()


def _record(model: onnx.ModelProto) -> Record:
    ops = tuple(
        Op("", number, node.name, node.op_type, tuple(node.output), scope, inputs=tuple(node.input))
        for number, (node, scope) in enumerate(zip(model.graph.node, _SCOPES, strict=True))
    )
    return Record(
        source=Source("net", "dynamo", 18),
        digest=graph_digest(model),
        modules=tuple(Module(p, "Part" if p else "Net", "net", calls=1) for p in _PATHS),
        ops=ops,
        tensors=tuple(Tensor(f"w{n}", f"part.{n}.weight") for n in range(2)),
        probe=Probe((ProbeInput.from_array("x", np.ones((2, WIDTH), np.float32)),)),
    )


def copy_folder(source: Path, target: Path) -> None:
    """A fresh copy of the inputs, with nothing else."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def files_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their path in it, and empty folders as `path/`."""
    content: dict[str, bytes] = {}
    for place, folders, names in os.walk(folder):
        inner = Path(place).relative_to(folder)
        for name in names:
            content[str(inner / name)] = Path(place, name).read_bytes()
        if not folders and not names:
            content[f"{inner}/"] = b""
    return content
