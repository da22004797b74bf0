"""What folding gives, family by family; writes docs/functions.md.

Every family is exported by both exporters, with static and dynamic shapes, and folded as it
is and after onnxruntime's basic optimisations. Each folded file is checked: onnx's full
checker, the same bits in onnxruntime without optimisations, 1e-5 with them, the operators
that onnx's inliner and `strip --functions` bring back, and whether other libraries load it.
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnxruntime as ort

from function_models import FAMILIES, build

TOLERANCE = 1e-5

Row = dict[str, Any]


def session(path: Path, level: ort.GraphOptimizationLevel) -> ort.InferenceSession:
    """A file in onnxruntime, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = level
    return ort.InferenceSession(str(path), options)


def loads(path: Path, level: ort.GraphOptimizationLevel) -> bool:
    """Whether onnxruntime loads a file at all; it refuses some that it optimised itself."""
    try:
        session(path, level)
    except Exception:  # noqa: BLE001 - onnxruntime's errors share no base class
        return False
    return True


def optimised(source: Path, target: Path) -> None:
    """What onnxruntime's basic optimisations leave of a file."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    ort.InferenceSession(str(source), options)


def ops(model: onnx.ModelProto) -> Counter[str]:
    """Operators of all graphs."""
    from modelexport.hierarchy.graph_paths import walk_nodes

    return Counter(node.op_type for _, node in walk_nodes(model))


def faults(source: Path, folded: Path, feeds: dict[str, Any], folder: Path) -> list[str]:
    """What does not hold of a folded file."""
    from modelexport.rewriter import unfold

    problems = []
    plain, model = onnx.load(source), onnx.load(folded)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # noqa: BLE001 - whatever it is goes into the table
        problems.append(f"checker: {error}"[:200])
    off, on = (getattr(ort.GraphOptimizationLevel, f"ORT_{n}_ALL") for n in ("DISABLE", "ENABLE"))
    left, right = (session(p, off).run(None, feeds) for p in (source, folded))
    if any(a.tobytes() != b.tobytes() for a, b in zip(left, right, strict=True)):
        problems.append("other bits without optimisations")
    if loads(source, on):
        left, right = (session(p, on).run(None, feeds) for p in (source, folded))
        worst = max(
            float(np.max(np.abs(a - b) / (1 + np.abs(a)), initial=0))
            for a, b in zip(left, right, strict=True)
        )
        if not worst <= TOLERANCE:
            problems.append(f"outputs with optimisations are {worst:.0e} apart")
    if model.functions:
        unfold(folded, folder / "unfolded.onnx", force=True)
        if ops(onnx.load(folder / "unfolded.onnx")) != ops(plain):
            problems.append("other operators after unfolding")
    inlined, flat = ops(onnx.inliner.inline_local_functions(model)), ops(plain)
    del inlined["Constant"], flat["Constant"]
    if inlined != flat:
        problems.append("other operators after onnx's inliner")
    return [*problems, *_clients(folded, model)]


def _clients(path: Path, model: onnx.ModelProto) -> list[str]:
    import onnx_ir
    from onnx.reference import ReferenceEvaluator

    from modelexport.rewriter.surgery import Surgery

    readers = {
        "onnx.reference": lambda: ReferenceEvaluator(model),
        "onnx-ir": lambda: onnx_ir.load(path),
        "graphsurgeon": lambda: Surgery(model),
    }
    problems = []
    for name, read in readers.items():
        try:
            read()
        except Exception as error:  # noqa: BLE001 - whatever it is goes into the table
            problems.append(f"{name}: {error}"[:200])
    return problems


def measure(family: str, exporter: str, *, dynamic: bool, folder: Path) -> list[Row]:
    """The rows of one export: as exported, and after onnxruntime."""
    from modelexport.errors import ExportFailedError
    from modelexport.hierarchy.record import read_record
    from modelexport.tracer import trace

    shapes = "dynamic" if dynamic else "static"
    case = {"family": family, "exporter": exporter, "shapes": shapes}
    plain = folder / f"{family}-{exporter}-{shapes}.onnx"
    model, inputs = build(family)
    try:
        done = trace(model, inputs, plain, exporter=exporter, dynamic=dynamic)
    except ExportFailedError as error:
        return [{**case, "not_exported": str(error)[:300]}]
    record = read_record(done.record_path)
    optimised(plain, folder / "optimised.onnx")
    feeds = {entry.name: entry.to_array() for entry in record.probe.inputs}
    return [
        {**case, "file": label, **fold(source, record, feeds, folder)}
        for label, source in (("exported", plain), ("optimised", folder / "optimised.onnx"))
    ]


def fold(source: Path, record: Any, feeds: dict[str, Any], folder: Path) -> Row:
    """Fold one file in both ways; the row tells of the outermost calls."""
    from modelexport.hierarchy.choices import Inject
    from modelexport.rewriter import FoldRules, annotate

    target, row, wrong = folder / "folded.onnx", {}, []
    for mode in ("nested", "repeated"):
        rules = FoldRules((mode,))
        start = time.perf_counter()
        options: Row = {"inject": [Inject.FUNCTIONS], "fold_rules": rules, "force": True}
        report = annotate(source, record, target, **options).folding
        seconds = time.perf_counter() - start
        assert report is not None
        wrong += [f"{mode}: {fault}" for fault in faults(source, target, feeds, folder)]
        inside = sum(len(function.node) for function in onnx.load(target).functions)
        calls = len([n for n in onnx.load(target).graph.node if n.domain])
        row = {
            "nodes": report.nodes_before,
            "main": report.nodes_after,
            "calls": calls,
            "inside": inside,
            "seconds": round(seconds, 3),
            "prototypes": [[p.name, p.calls, p.nodes] for p in report.prototypes],
            "told": report.lines()[1:],
        }
    on = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return {**row, "faults": wrong, "flat_loads_optimised": loads(source, on)}


def scaling(folder: Path, sizes: tuple[int, ...] = (5_000, 10_000, 20_000)) -> list[Row]:
    """Time and memory of folding by number of nodes, each in a process of its own."""
    rows = []
    for size in sizes:
        source = make_chain(size, folder)
        command = [sys.executable, __file__, "--scale", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        megabytes = round(source.stat().st_size / 1e6)
        rows.append({"nodes": size, "megabytes": megabytes, **json.loads(done.stdout)})
        source.unlink()
    return rows


def make_chain(size: int, folder: Path, side: int = 256, block: int = 10) -> Path:
    """A chain of blocks of ten nodes with a weight of 256 kB each, and its record."""
    from onnx import helper, numpy_helper

    from annotate_speed import record_of

    nodes, weights, last = [], [], "x"
    for number in range(size):
        kind = "MatMul" if number % block == 0 else ("Relu", "Neg")[number % 2]
        read = [last, f"w{number}"] if kind == "MatMul" else [last]
        if kind == "MatMul":
            values = np.random.default_rng(number).random((side, side), np.float32)
            weights.append(numpy_helper.from_array(values, f"w{number}"))
        nodes.append(helper.make_node(kind, read, [f"v{number}"], f"n{number}"))
        last = f"v{number}"
    value = helper.make_tensor_value_info
    ends = [value(name, onnx.TensorProto.FLOAT, [1, side]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    source = folder / f"chain{size}.onnx"
    source.write_bytes(model.SerializeToString())
    text = json.loads(record_of(model))
    for op in text["ops"]:
        op["module"] = f"blocks.{op['index'] // block}"
    paths = [f"blocks.{number}" for number in range(size // block)]
    root = [module for module in text["modules"] if not module["path"]]
    text["modules"] = root + [{"path": p, "class_name": "Block", "calls": 1} for p in paths]
    source.with_suffix(".trace.json").write_text(json.dumps(text))
    return source


def scale(source: Path) -> Row:
    """Fold a file in this process; time, and private memory at its peak over what was there."""
    from annotate_speed import anonymous
    from modelexport.hierarchy.choices import Inject
    from modelexport.rewriter import annotate

    target, stop, peak = source.with_suffix(".folded"), threading.Event(), 0

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, anonymous())

    before, watcher = anonymous(), threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    record = source.with_suffix(".trace.json")
    report = annotate(source, record, target, inject=[Inject.FUNCTIONS], force=True).folding
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()
    target.unlink()
    assert report is not None
    added = round((max(peak, anonymous()) - before) / 1e6)
    return {"seconds": round(seconds, 2), "main": report.nodes_after, "added": added}


def latency(folder: Path, rounds: int = 15) -> Row:
    """Loading and running a bigger encoder: flat, folded, and unfolded again; in turns."""
    from function_models import ENCODER, hugging_face, text
    from modelexport.hierarchy.choices import Inject
    from modelexport.rewriter import annotate, unfold
    from modelexport.tracer import trace

    settings = {**ENCODER, "hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12}
    model, inputs = hugging_face("bert", "AutoModel", text(), **settings)
    files = {name: folder / f"latency-{name}.onnx" for name in ("flat", "folded", "unfolded")}
    done = trace(model.eval(), inputs, files["flat"], exporter="torchscript")
    annotate(files["flat"], done.record, files["folded"], inject=[Inject.FUNCTIONS])
    unfold(files["folded"], files["unfolded"])
    feeds = {entry.name: entry.to_array() for entry in done.record.probe.inputs}
    loads: dict[str, list[float]] = {name: [] for name in files}
    runs: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, path in files.items():
            start = time.perf_counter()
            running = session(path, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
            loads[name].append(time.perf_counter() - start)
            running.run(None, feeds)
            for _ in range(10):
                start = time.perf_counter()
                running.run(None, feeds)
                runs[name].append(time.perf_counter() - start)
    return {
        name: {
            "load_ms": round(1000 * statistics.median(loads[name]), 1),
            "run_ms": round(1000 * statistics.median(runs[name]), 2),
        }
        for name in files
    }


def table(rows: list[Row], scales: list[Row], latencies: Row) -> str:
    """The tables as Markdown."""
    from function_tables import page

    return page(rows, scales, latencies)


def main() -> None:
    """Measure what was asked for, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", help="only these; writes no tables")
    parser.add_argument("--output", type=Path, default=Path("docs"))
    parser.add_argument("--scale", type=Path, metavar="FILE", help="fold this one and tell")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    if options.scale:
        print(json.dumps(scale(options.scale)))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir="temp") as folder:
        for family in options.family or FAMILIES:
            for exporter in ("torchscript", "dynamo"):
                for dynamic in (False, True):
                    rows += measure(family, exporter, dynamic=dynamic, folder=Path(folder))
                    print(json.dumps(rows[-1]), flush=True)
        if options.family:
            (options.output / "functions.part.json").write_text(json.dumps(rows))
            return
        scales, latencies = scaling(Path(folder)), latency(Path(folder))
    results = {"rows": rows, "scaling": scales, "latency": latencies}
    (Path("temp") / "functions.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "functions.md").write_text(table(rows, scales, latencies))


if __name__ == "__main__":
    main()
