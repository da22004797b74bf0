"""Small files that would make much of themselves are refused in one sentence, and soon."""

import time
import zlib
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from modelexport import load_plan
from modelexport.errors import FileProblem, OnnxFileError, PlanError, RecordError, UsageError
from modelexport.hierarchy.module_tree import MAX_MODULES, EmbeddedTree, Module
from modelexport.hierarchy.probe_input import MAX_PROBE_BYTES, ProbeInput
from modelexport.hierarchy.record import decode_record, encode_record, read_record
from modelexport.pipeline.batch.jobs import MAX_JOBS
from modelexport.rewriter import analyze
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.container.budgets import MAX_FUNCTION_DEPTH, MAX_INLINED_NODES
from modelexport.rewriter.matching import match_sources
from modelexport.support.compressed import decompress
from tests.helpers.handmade import parse

SOON = 5.0
"""Seconds in which a small file is refused."""


def with_functions(*calls: tuple[str, ...]) -> onnx.ModelProto:
    """A model whose first function calls others: by position, the names that each one calls."""
    model = parse("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.opset_import.add(domain="d", version=1)
    model.graph.node[0].op_type, model.graph.node[0].domain = "f0", "d"
    for number, names in enumerate(calls):
        places = ["x", *(f"v{n}" for n in range(len(names) - 1)), "y"]
        nodes = [
            onnx.helper.make_node(
                name, [places[n]], [places[n + 1]], domain="d" if name[0] == "f" else ""
            )
            for n, name in enumerate(names)
        ]
        opsets = list(model.opset_import)
        model.functions.append(
            onnx.helper.make_function("d", f"f{number}", ["x"], ["y"], nodes, opsets)
        )
    return model


def doubling(times: int) -> list[tuple[str, ...]]:
    return [*((f"f{n + 1}",) * 2 for n in range(times)), ("Relu",)]


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        (doubling(30), f"more than {MAX_INLINED_NODES:,} nodes"),
        ([("f0",)], "'f0' calls itself"),
        ([("f1",), ("Relu", "f0")], "'f0' calls itself"),
        ([*((f"f{n + 1}",) for n in range(MAX_FUNCTION_DEPTH + 1)), ("Relu",)], "deep"),
    ],
)
def test_functions_without_end(tmp_path: Path, calls: list[tuple[str, ...]], words: str) -> None:
    """Functions that double, and functions that call themselves."""
    onnx.save(with_functions(*calls), tmp_path / "m.onnx")
    start = time.perf_counter()
    with pytest.raises(OnnxFileError, match=words):
        analyze(tmp_path / "m.onnx")
    assert time.perf_counter() - start < SOON


def test_functions_within_the_budget(tmp_path: Path) -> None:
    """A file whose functions end is read."""
    onnx.save(with_functions(*doubling(5)), tmp_path / "m.onnx")
    with OnnxContainer.open(tmp_path / "m.onnx") as container:
        assert len(container.skeleton().functions) == len(doubling(5))


def test_tensors_of_many_dimensions(tmp_path: Path) -> None:
    """Their number of elements would take long to compute."""
    model = parse("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.graph.initializer.add(name="w", data_type=1, dims=[2**62] * 100_000)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(OnnxFileError, match="'w' has 100,000 dimensions"):
        analyze(tmp_path / "m.onnx")


def test_modules_without_number(plain_record: Path) -> None:
    """A tree of a million modules is refused, in a file and in a record."""
    modules = tuple(Module(f"m{n}" if n else "", "Net") for n in range(MAX_MODULES + 1))
    with pytest.raises(FileProblem, match="more than 250,000"):
        EmbeddedTree.from_json(EmbeddedTree(modules).to_json(), "a.onnx")
    record = msgspec.structs.replace(read_record(plain_record), modules=modules)
    with pytest.raises(RecordError, match="more than 250,000"):
        decode_record(encode_record(record), "r.json")
    allowed = EmbeddedTree(modules[:-1])
    assert len(EmbeddedTree.from_json(allowed.to_json(), "a.onnx").modules) == MAX_MODULES


def test_jobs_without_number(tmp_path: Path) -> None:
    """A plan whose matrix has a million cells is refused before they are made."""
    axes = {"opset": list(range(13, 23)), "exporter": ["dynamo"], "depth": list(range(1, 10_001))}
    plan = {"models": [{"source": "a.py:f"}], "matrix": axes, "out": "out"}
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(plan))
    with pytest.raises(PlanError, match=f"more than {MAX_JOBS:,} jobs"):
        load_plan(tmp_path / "plan.json")


def test_compressed_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What unpacks to more than it should is not unpacked."""
    packed = zlib.compress(bytes(1 << 20))
    assert decompress(packed, 1 << 20) == bytes(1 << 20)
    for most, data in ((1000, packed), (1 << 20, packed[:-9]), (9, b"no"), (9, b"")):
        with pytest.raises(ValueError, match=r"more than|damaged|cut off"):
            decompress(data, most)
    for shape, dtype in (
        ((8,), "float32"),
        ((MAX_PROBE_BYTES,), "float64"),
        ((2**62,) * 100_000, "int8"),
        ((-1,), "int8"),
        ((8,), "no type"),
    ):
        with pytest.raises(RecordError, match="'x' is damaged"):
            ProbeInput("x", dtype, shape, packed).to_array()
    np.savez_compressed(tmp_path / "p.npz", x=np.zeros(1000))
    assert dict(match_sources.read_inputs(tmp_path / "p.npz")).keys() == {"x"}
    monkeypatch.setattr(match_sources, "MAX_INPUT_BYTES", 1000)
    with pytest.raises(UsageError, match="unpacks to"):
        dict(match_sources.read_inputs(tmp_path / "p.npz"))
