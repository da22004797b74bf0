"""What annotating a big embedded file costs, beside a plain copy of it, in one run.

Each contender runs in a process of its own, several times, in turns with the others; the
table has medians, and the private memory (`RssAnon`) that each added at its peak over what
it had before it read the file.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

LIMIT = 1.2
WEIGHT = 1100  # MatMul weights of this side: 4.84 MB each


def make(path: Path, megabytes: int) -> None:
    """A chain of MatMul and Add nodes with embedded weights, and a record of it."""
    random = np.random.default_rng(0)
    count = megabytes * 1_000_000 // (WEIGHT * WEIGHT * 4)
    nodes, weights, last = [], [], "x"
    for i in range(count):
        weights.append(
            numpy_helper.from_array(
                random.random((WEIGHT, WEIGHT), np.float32), f"blocks.{i}.weight"
            )
        )
        nodes.append(helper.make_node("MatMul", [last, f"blocks.{i}.weight"], [f"m{i}"], f"mm{i}"))
        nodes.append(helper.make_node("Relu", [f"m{i}"], [f"r{i}"], f"relu{i}"))
        last = f"r{i}"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "chain",
        [value("x", onnx.TensorProto.FLOAT, [1, WEIGHT])],
        [value(last, onnx.TensorProto.FLOAT, [1, WEIGHT])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".trace.json").write_bytes(record_of(model))


def record_of(model: onnx.ModelProto) -> bytes:
    """A record in which every pair of nodes is a block."""
    from modelexport.hierarchy.graph_digest import graph_digest
    from modelexport.hierarchy.graph_paths import walk_nodes
    from modelexport.hierarchy.module_tree import Module
    from modelexport.hierarchy.record import Op, Probe, Record, Source, Tensor, encode_record

    ops = [
        Op("", k.position, n.name, n.op_type, tuple(n.output), f"blocks.{k.position // 2}")
        for k, n in walk_nodes(model)
    ]
    blocks = dict.fromkeys(op.module for op in ops if op.module)
    modules = (Module("", "Chain", calls=1), *(Module(b, "Block", calls=1) for b in blocks))
    return encode_record(
        Record(
            source=Source("chain", "none", 18),
            digest=graph_digest(model),
            modules=modules,
            ops=tuple(ops),
            tensors=tuple(Tensor(t.name, t.name) for t in model.graph.initializer),
            probe=Probe(missing="a benchmark"),
        )
    )


def contenders(source: Path, out: Path) -> dict[str, Callable[[], object]]:
    """What is compared: each reads the source and writes the output."""

    def copy() -> None:
        import shutil

        shutil.copyfile(source, out)

    def ours() -> None:
        from modelexport.rewriter import annotate

        annotate(source, source.with_suffix(".trace.json"), out, force=True)

    def skeleton() -> object:
        from modelexport.rewriter.container import OnnxContainer

        with OnnxContainer.open(source) as container:
            return container.skeleton()

    def with_onnx() -> None:
        model = onnx.load(source)
        for node in model.graph.node:
            node.metadata_props.add(key="hierarchy_tag", value="/Chain")
        onnx.save(model, out)

    def with_onnx_ir() -> None:
        import onnx_ir

        model = onnx_ir.load(source)
        for node in model.graph:
            node.metadata_props["hierarchy_tag"] = "/Chain"
        onnx_ir.save(model, out)

    return {
        "plain copy": copy,
        "modelexport annotate": ours,
        "(skeleton alone)": skeleton,
        "onnx.load + onnx.save": with_onnx,
        "onnx-ir load + save": with_onnx_ir,
    }


def anonymous() -> int:
    """Private memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this system does not tell RssAnon")


def once(name: str, source: Path, out: Path) -> dict[str, float]:
    """Run one contender in this process, imports and a warm-up on a small file first."""
    small = out.with_name("small.onnx")
    if not small.exists():
        make(small, 10)
    contenders(small, out)[name]()
    out.unlink(missing_ok=True)
    before, peak, stop = anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.002):
            peak = max(peak, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    contenders(source, out)[name]()
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()
    out.unlink(missing_ok=True)
    return {"seconds": seconds, "memory": max(peak, anonymous()) - before}


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=440)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", nargs=3, metavar=("NAME", "SOURCE", "OUT"))
    options = parser.parse_args()
    if options.once:
        name, source, out = options.once
        print(json.dumps(once(name, Path(source), Path(out))))
        return
    with tempfile.TemporaryDirectory(dir="temp") as folder:
        source, out = Path(folder, "big.onnx"), Path(folder, "out.onnx")
        make(source, options.megabytes)
        measurements: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for name in contenders(source, out):
                command = [sys.executable, __file__, "--once", name, str(source), str(out)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                measurements.setdefault(name, []).append(json.loads(done.stdout))
    print(f"{options.megabytes} MB embedded, {options.rounds} rounds, medians (limit {LIMIT})")
    print("| | seconds | times the copy | private MB |")
    print("|---|---|---|---|")
    copies = measurements["plain copy"]
    for name, rows in measurements.items():
        ratio = statistics.median(
            r["seconds"] / c["seconds"] for r, c in zip(rows, copies, strict=True)
        )
        seconds = statistics.median(r["seconds"] for r in rows)
        memory = statistics.median(r["memory"] for r in rows) / 1e6
        print(f"| {name} | {seconds:.2f} | {ratio:.2f} | {memory:.1f} |")


if __name__ == "__main__":
    main()
