"""What very large graphs cost: analyze, compare and strip beside onnx.load, in one run.

Two kinds of files are made. *Wide*: many layers of a transformer's nodes. *Deep*: a few nodes in
the innermost of many modules inside each other. Every node has the metadata that annotating writes,
and the file has the module tree.

Each contender runs in a process of its own, in turns with the others. The table has medians of
CPU seconds, imports left out, and the ratio to onnx.load of the same file in the same round.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
from onnx import helper

LIMIT = 3.0
"""CPU seconds of each command on the wide file."""

LAYER = (
    *(("norm", operator) for operator in ("ReduceMean", "Sub", "Mul", "Div", "Mul", "Add")),
    *(
        (f"attention.{name}", operator)
        for name in ("query", "key", "value")
        for operator in ("MatMul", "Add")
    ),
    *(("attention", operator) for operator in ("MatMul", "Mul", "Add", "Softmax", "MatMul")),
    *(("attention.output", operator) for operator in ("MatMul", "Add")),
    ("", "Add"),
    *(("mlp.up", operator) for operator in ("MatMul", "Add")),
    *(("mlp.activation", operator) for operator in ("Sigmoid", "Mul")),
    *(("mlp.down", operator) for operator in ("MatMul", "Add")),
    ("", "Add"),
)
"""Module and operator of each node of a layer, as in a transformer."""

_TWO_INPUTS = frozenset({"MatMul", "Add", "Sub", "Mul", "Div"})

WIDTH = 4
DEEP_NODES = 10
CHANGED_EVERY = 1000
"""Distance of the nodes in which the second file of a comparison differs."""


def wide_modules(count: int) -> Iterator[tuple[str, str]]:
    """Module path and operator of each node of the wide file.

    Args:
        count: Number of nodes.
    """
    for number in range(count):
        layer, place = divmod(number, len(LAYER))
        module, op_type = LAYER[place]
        yield f"layers.{layer}.{module}".rstrip("."), op_type


def deep_modules(count: int) -> Iterator[tuple[str, str]]:
    """The same of the deep file.

    Args:
        count: Number of steps of the tags.
    """
    for _ in range(DEEP_NODES):
        yield ".".join(["m"] * count), "Relu"


KINDS = {"wide": wide_modules, "deep": deep_modules}


def module_paths(nodes: list[tuple[str, str]]) -> list[str]:
    """The paths of the modules of all nodes and of those around them, sorted."""
    paths = {""}
    for path in dict.fromkeys(path for path, _ in nodes):
        above = path
        while above not in paths:
            paths.add(above)
            above = above.rpartition(".")[0]
    return sorted(paths)


def make(file: Path, kind: str, count: int, *, changed: bool = False) -> None:
    """Write a chain of nodes with their metadata.

    Args:
        file: The file.
        kind: One of `KINDS`.
        count: Its size.
        changed: Whether some nodes are other operators, for comparing.
    """
    from modelexport.hierarchy.module_tree import Module, ModuleTree
    from modelexport.hierarchy.tags import Tagger, TagRules
    from modelexport.rewriter.inject.metadata import model_entries

    nodes = list(KINDS[kind](count))
    if changed:
        nodes = [
            (module, "Tanh" if number % CHANGED_EVERY == CHANGED_EVERY - 1 else op_type)
            for number, (module, op_type) in enumerate(nodes)
        ]
    tree = ModuleTree(Module(p, "Block" if p else "Net", calls=1) for p in module_paths(nodes))
    tagger = Tagger(tree)
    protos = []
    for number, (module, op_type) in enumerate(nodes):
        inputs = [f"v{number}", *(["weight"] if op_type in _TWO_INPUTS else [])]
        node = helper.make_node(op_type, inputs, [f"v{number + 1}"], f"{op_type}_{number}")
        tag = tagger.tag(module)
        entries = {"hierarchy_tag": tag, "namespace": tag[1:], "hierarchy.evidence": "identity"}
        for key, text in entries.items():
            node.metadata_props.add(key=key, value=text)
        protos.append(node)
    value = helper.make_tensor_value_info
    shape = [WIDTH, WIDTH]
    graph = helper.make_graph(
        protos,
        kind,
        [value("v0", onnx.TensorProto.FLOAT, shape)],
        [value(f"v{len(nodes)}", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor("weight", onnx.TensorProto.FLOAT, shape, [0.5] * WIDTH**2)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    helper.set_model_props(model, dict(model_entries(tree, TagRules(), {})))
    file.write_bytes(model.SerializeToString())


def contenders(file: Path) -> dict[str, Callable[[], object]]:
    """What is measured on a file; `compare` takes the file of the same name with a 2."""
    from modelexport.rewriter import analyze, compare, strip

    return {
        "onnx.load": lambda: onnx.load(file),
        "analyze": lambda: analyze(file),
        "compare": lambda: compare(file, second(file)),
        "strip": lambda: strip(file, file.with_name("stripped.onnx"), force=True),
    }


def second(file: Path) -> Path:
    """The file that another one is compared with."""
    return file.with_name(f"{file.stem}2.onnx")


def make_pair(file: Path, kind: str, count: int) -> None:
    """Write a file and the one that it is compared with; the arguments are those of `make`."""
    make(file, kind, count)
    make(second(file), kind, count, changed=True)


def measure(name: str, file: Path) -> float:
    """CPU seconds of one contender in this process, imports and a small file first."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.onnx")
        make_pair(small, "wide", len(LAYER))
        contenders(small)[name]()
    start = time.process_time()
    contenders(file)[name]()
    return time.process_time() - start


def print_rows(file: Path, label: str, rounds: int) -> bool:
    """Measure all contenders on a file and print a row for each; whether all are within LIMIT."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in contenders(file):
            command = [sys.executable, __file__, "--once", name, str(file)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds.setdefault(name, []).append(float(result.stdout))
    loads = seconds["onnx.load"]
    for name, times in seconds.items():
        ratio = statistics.median(t / load for t, load in zip(times, loads, strict=True))
        print(f"| {label} | {name} | {statistics.median(times):.2f} | {ratio:.1f} |")
    return all(statistics.median(times) <= LIMIT for times in seconds.values())


def main() -> int:
    """Measure everything and print the table; exit with 1 when a median is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100_000, help="Nodes of the wide file.")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="*",
        default=[750, 1_500, 3_000],
        help="Steps of the tags of each deep file.",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", nargs=2, metavar=("NAME", "FILE"))
    options = parser.parse_args()
    if options.once:
        name, file = options.once
        print(measure(name, Path(file)))
        return 0
    sizes = [("wide", options.nodes), *(("deep", steps) for steps in options.steps)]
    units = {"wide": "nodes", "deep": "steps"}
    print(f"CPU seconds, medians of {options.rounds} rounds (limit {LIMIT})")
    print("| file | | CPU s | times onnx.load |")
    print("|---|---|---:|---:|")
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in sizes:
            path = Path(folder, f"{kind}{count}_.onnx")
            make_pair(path, kind, count)
            megabytes = path.stat().st_size / 1e6
            label = f"{kind}: {count:,} {units[kind]}, {megabytes:.1f} MB"
            good &= print_rows(path, label, options.rounds)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
