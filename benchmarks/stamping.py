"""Whether stamped files equal plain exports, over families of deep models.

    python benchmarks/stamping.py --families "llama,bert" --layers 10

Each model is traced twice, with and without stamping. The files have to have the same operators in
the same order, the same values bit for bit at each output, and the same tags. Without weights,
initializers of the same names, shapes and types stand for the values.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from modelexport.errors import ModelExportError
from modelexport.tracer import trace
from modelexport.tracer.tracing import TraceResult
from stamping_families import Family, families


def main() -> None:
    """Compare each family and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default="*", help="names or patterns, separated by commas")
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--exporter", default="dynamo")
    options = parser.parse_args()
    print("| family | nodes | stamped | operators | outputs | tags | CPU s plain | stamped |")
    print("|---|---|---|---|---|---|---|---|")
    for name, build in families(options.layers):
        if any(fnmatch(name, pattern) for pattern in options.families.split(",")):
            print(f"| {name} | {compare(build, options.exporter)} |", flush=True)


def compare(build: Callable[[], Family], exporter: str) -> str:
    """The cells of a family's line."""
    try:
        torch.manual_seed(0)
        model, inputs = build()
    except Exception as error:  # noqa: BLE001 - the line says what the library does not build
        return f"not built: {type(error).__name__}: {str(error).splitlines()[0][:80]}"
    parameters = [p for p in model.parameters() if not p.is_meta]
    for parameter in parameters:  # trained ones are not equal to each other
        nn.init.normal_(parameter, 0.1, 0.2)
    with tempfile.TemporaryDirectory() as folder:
        try:
            plain, plain_seconds = traced(
                model, inputs, Path(folder, "plain.onnx"), exporter, False
            )
            stamped, seconds = traced(model, inputs, Path(folder, "stamped.onnx"), exporter, True)
        except ModelExportError as error:
            return f"not traced: {str(error).splitlines()[0][:120]}"
        notes = [note for note in stamped.notes if "stamped out" in note]
        one, other = (
            onnx.load(result.onnx_path, load_external_data=False).graph
            for result in (plain, stamped)
        )
        cells = (
            len(one.node),
            "; ".join(notes) or "no equal layers",
            verdict(Counter(n.op_type for n in one.node) == Counter(n.op_type for n in other.node)),
            verdict(same_outputs(plain, stamped) if parameters else same_weights(one, other)),
            verdict(Counter((op.op_type, op.module, op.call) for op in plain.record.ops)
                    == Counter((op.op_type, op.module, op.call) for op in stamped.record.ops)),
            f"{plain_seconds:.1f}",
            f"{seconds:.1f}",
        )  # fmt: skip
        return " | ".join(map(str, cells))


def traced(
    model: nn.Module, inputs: Any, path: Path, exporter: str, stamp: bool
) -> tuple[TraceResult, float]:
    """The result of a trace, with the CPU seconds that it took."""
    start = time.process_time()
    result = trace(model, inputs, path, exporter=exporter, stamp=stamp)
    return result, time.process_time() - start


def same_outputs(plain: TraceResult, stamped: TraceResult) -> bool:
    """Whether two files compute the same bits on other inputs than the example inputs."""
    sessions = [
        ort.InferenceSession(result.onnx_path, options(), providers=["CPUExecutionProvider"])
        for result in (plain, stamped)
    ]
    generator = np.random.default_rng(1)
    feed = {}
    for value in sessions[0].get_inputs():
        if value.type == "tensor(float)":
            feed[value.name] = generator.random(value.shape, dtype=np.float32)
        else:
            dtype = np.int32 if value.type == "tensor(int32)" else np.int64
            feed[value.name] = np.ones(value.shape, bool if "bool" in value.type else dtype)
    left, right = (session.run(None, feed) for session in sessions)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


def same_weights(one: onnx.GraphProto, other: onnx.GraphProto) -> bool:
    """Whether two graphs have initializers of the same names, shapes and types."""
    weights = [{(w.name, tuple(w.dims), w.data_type) for w in g.initializer} for g in (one, other)]
    return weights[0] == weights[1]


def options() -> ort.SessionOptions:
    """One thread and no optimisations: the order of sums is fixed."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.log_severity_level = 4
    return settings


def verdict(is_equal: bool) -> str:
    """A cell for a comparison."""
    return "equal" if is_equal else "DIFFER"


if __name__ == "__main__":
    sys.exit(main())
