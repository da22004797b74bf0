"""Every module of some models as a file of its own: does it run, and equal the whole bit for bit?

`python benchmarks/extraction.py bert gpt2` traces models of the zoo; `--file ANNOTATED.onnx` takes
a file. `--large FOLDER` makes a file with 8 GB of external data (with holes: it takes no space) and
measures what extracting one layer of it takes.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from modelexport import UsageError, annotate, extract
from modelexport.errors import ModelExportError
from modelexport.rewriter.annotation.placed_file import PlacedFile

_LAYERS, _WIDTH = 32, 8192
"""Layers of the large file, and rows and columns of their weights: 32 x 8192 x 8192 x 4 bytes."""


def check_modules(path: Path) -> Counter[str]:
    """Extract and check every module that has nodes; print those that fail."""
    results: Counter[str] = Counter()
    with PlacedFile.open(path) as file:
        modules = sorted({m for m in file.modules if m})
        for module in list(modules):
            steps = module.split(".")
            modules += [".".join(steps[:count]) for count in range(1, len(steps))]
    for module in dict.fromkeys(modules):
        with tempfile.TemporaryDirectory() as folder:
            try:
                part = extract(path, module, Path(folder, "part.onnx"), check=True)
            except UsageError as error:
                kind = "not convex" if "between its nodes" in str(error) else "inside a subgraph"
                results[kind] += 1
            except ModelExportError as error:
                results["error"] += 1
                print(f"  {module}: {error}")
            else:
                results["equal" if part.equal else "different"] += 1
                if not part.equal:
                    print(f"  {module}: {part.different}")
    return results


def check_zoo(name: str, folder: Path) -> Counter[str]:
    """Trace a model of the zoo and check all its modules."""
    from modelexport import trace_source

    plain, annotated = folder / f"{name}.onnx", folder / f"{name}.annotated.onnx"
    traced = trace_source(f"fixtures_gen.zoo:{name}", plain)
    annotate(plain, traced.record, annotated)
    return check_modules(annotated)


def measure_large(folder: Path) -> None:
    """Extract one layer of a file with 8 GB of external data."""
    size = _WIDTH * _WIDTH * 4
    nodes, weights = [], []
    for layer in range(_LAYERS):
        node = helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"h{layer + 1}"])
        node.metadata_props.add(key="hierarchy_tag", value=f"/Net/layer.{layer}")
        nodes.append(node)
        weight = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[_WIDTH, _WIDTH])
        weight.data_location = TensorProto.EXTERNAL
        entries = {"location": "large.data", "offset": layer * size, "length": size}
        for key, value in entries.items():
            weight.external_data.add(key=key, value=str(value))
        weights.append(weight)
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _WIDTH])
        for name in ("h0", f"h{_LAYERS}")
    ]
    graph = helper.make_graph(nodes, "large", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    with (folder / "large.data").open("wb") as data:
        data.truncate(_LAYERS * size)
        for layer in range(0, _LAYERS, _LAYERS // 4):
            data.seek(layer * size)
            data.write(np.full(1024, layer, np.float32).tobytes())
    (folder / "out").mkdir(exist_ok=True)
    for target in (folder / "part.onnx", folder / "out" / "part.onnx"):
        before = time.perf_counter()
        extract(folder / "large.onnx", "layer.8", target, force=True)
        took = time.perf_counter() - before
        print(f"{_LAYERS * size / 1e9:.1f} GB, layer.8 to {target.parent.name}/: {took:.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> int:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--file", type=Path, action="append", default=[])
    parser.add_argument("--large", type=Path)
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            results = check_zoo(name, Path(folder))
            failed += results["different"] + results["error"]
            print(name, dict(results), flush=True)
    for path in arguments.file:
        results = check_modules(path)
        failed += results["different"] + results["error"]
        print(path.name, dict(results), flush=True)
    if arguments.large is not None:
        arguments.large.mkdir(parents=True, exist_ok=True)
        measure_large(arguments.large)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
