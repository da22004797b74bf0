"""What matching costs: annotating a file with scrambled names beside loading and running it.

Stacks of layers, of about the wanted numbers of nodes: as wide as BERT-base, as small models
are, and as a toy, which runs in no time, so that what is left is the cost of the graph alone.
Names are scrambled, so that nothing but what the nodes compute tells them apart. The files are
kept under temp/agreement/.
"""

import argparse
import inspect
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import torch
from torch import nn

from agreement.kept import SCRAMBLED
from agreement.lossy import PREPARED, QDQ
from agreement.steps import Conversion, Step
from agreement.store import CACHE, key_of, sources, stored, tools_apart
from fixtures_gen.onnx_values import Array
from modelexport.errors import ForeignRecordError
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter import annotate
from modelexport.tracer import trace

WIDE, SMALL, TOY = 768, 256, 16
SIZES = {WIDE: (100,), SMALL: (100, 1_000, 5_000), TOY: (100, 1_000, 5_000, 20_000)}
NODES_A_LAYER = 14
QUANTISED_LAYERS = 33
"""Layers whose QDQ file has about 1,000 nodes."""
LIMIT, QUANTISED_LIMIT = 3.0, 20.0


class Layer(nn.Module):
    """A normalised feed-forward step around which its input goes on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step."""
        stepped: torch.Tensor = x + self.down(self.act(self.up(self.norm(x))))
        return stepped


def traced(layers: int, width: int) -> Path:
    """A folder with the export of a stack of layers, and its record."""

    def make(folder: Path) -> None:
        torch.manual_seed(layers)
        model = nn.Sequential(*(Layer(width) for _ in range(layers)))
        trace(model, (torch.randn(width // 4, width),), folder / "m.onnx", exporter="torchscript")

    code = sources("tracer", "hierarchy", "benchmarks/match_speed.py")
    return stored("speed", key_of("stack", str(layers), str(width), code), make)


def changed(folder: Path, *steps: Step) -> Path:
    """The file of a folder after some steps, names scrambled at the end."""
    source = folder / "m.onnx"
    for number, step in enumerate((*steps, SCRAMBLED)):
        target = folder / f"{number}-{len(steps)}.onnx"
        if not target.exists():
            with tools_apart():
                step.apply(Conversion(source, target, feeds(source)))
        source = target
    return source


def feeds(path: Path) -> dict[str, Array]:
    """Inputs for a stack."""
    generator = torch.Generator().manual_seed(1)
    (value,) = onnx.load(path).graph.input
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {value.name: torch.randn(shape, generator=generator).numpy()}


def seconds_of(action: Callable[[], object]) -> float:
    """How long something takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def annotating(path: Path, record: Path, out: Path, **more: Any) -> Callable[[], str]:
    """Annotate; says how many nodes got a tag, or that the record was refused."""

    def run() -> str:
        try:
            report = annotate(path, record, out, **more)
        except ForeignRecordError:
            return "refused"
        return f"{report.resolved} of {report.nodes}"

    return run


def running(path: Path) -> Callable[[], object]:
    """Load a file in onnxruntime with its defaults, and run it once."""
    inputs = feeds(path)

    def run() -> object:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(None, inputs)

    return run


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", help="only these numbers of nodes")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"kept numbers, names scrambled; medians of {options.rounds} (limit {LIMIT} times)")
    print("| width | nodes | tagged | annotate s | load and run s | times | ms a node |")
    print("|---|---|---|---|---|---|---|")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        out = Path(scratch, "out.onnx")
        for width, sizes in SIZES.items():
            rates = dict(
                measured(width, size, out, options.rounds)
                for size in sizes
                if size in (options.sizes or sizes)
            )
        large = [count for count in rates if count >= 1_000]
        if len(large) > 1:
            times = rates[large[-1]] / rates[large[0]]
            print(f"a node of {large[-1]} takes {times:.2f} times a node of {large[0]}", end="")
            print(" (1 is linear growth)")
        quantised(out)


def measured(width: int, size: int, out: Path, rounds: int) -> tuple[int, float]:
    """Print one row; gives the number of nodes and the milliseconds for one."""
    folder = traced(max(1, round(size / NODES_A_LAYER)), width)
    path = changed(folder)
    run, reference = annotating(path, folder / "m.trace.json", out), running(path)
    out.unlink(missing_ok=True)
    tagged = run()
    spent, plain = [], []
    for _ in range(rounds):  # side by side, so that both see the same machine
        out.unlink(missing_ok=True)  # replacing a file takes the system as long as writing one
        spent.append(seconds_of(run))
        plain.append(seconds_of(reference))
    times = statistics.median(a / b for a, b in zip(spent, plain, strict=True))
    count = sum(1 for _ in walk_nodes(onnx.load(path)))
    rate = statistics.median(spent) / count * 1000
    print(
        f"| {width} | {count} | {tagged} | {statistics.median(spent):.3f} "
        f"| {statistics.median(plain):.3f} | {times:.2f} | {rate:.3f} |",
        flush=True,
    )
    return count, rate


def quantised(out: Path) -> None:
    """One file of about 1,000 nodes, int8 with scales between the nodes."""
    folder = traced(QUANTISED_LAYERS, TOY)
    path = changed(folder, PREPARED, QDQ)
    takes = "reference" in inspect.signature(annotate).parameters
    more = {"reference": folder / "m.onnx"} if takes else {}
    run = annotating(path, folder / "m.trace.json", out, **more)
    count = sum(1 for _ in walk_nodes(onnx.load(path)))
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    tagged = run()
    spent = time.perf_counter() - start
    print(f"\nint8 QDQ, names scrambled: {count} nodes, tagged {tagged}, {spent:.2f} s", end="")
    print(f" (limit {QUANTISED_LIMIT:.0f} s)")


if __name__ == "__main__":
    main()
