"""What matching costs: annotating a file with scrambled names beside loading and running it.

Stacks of small layers, of about the wanted numbers of nodes. Names are scrambled, so that
nothing but what the nodes compute tells them apart. The files are kept under temp/agreement/.
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
from agreement.steps import Given, Step
from agreement.store import key_of, sources, stored, tools_apart
from fixtures_gen.onnx_values import Array
from hierarchy.errors import ForeignRecordError
from hierarchy.graphs import walk_nodes
from rewriter import annotate
from tracer import trace

SIZES = (100, 1_000, 5_000, 20_000)
NODES_A_LAYER = 14
QUANTISED_LAYERS = 33
"""Layers whose QDQ file has about 1,000 nodes."""
LIMIT, QUANTISED_LIMIT = 3.0, 20.0
WIDTH = 16


class Layer(nn.Module):
    """A normalised feed-forward step around which its input goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.act = nn.GELU()
        self.down = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step."""
        stepped: torch.Tensor = x + self.down(self.act(self.up(self.norm(x))))
        return stepped


def traced(layers: int) -> Path:
    """A folder with the export of a stack of layers, and its record."""

    def make(folder: Path) -> None:
        torch.manual_seed(layers)
        model = nn.Sequential(*(Layer() for _ in range(layers)))
        trace(model, (torch.randn(4, WIDTH),), folder / "m.onnx", exporter="torchscript")

    code = sources("tracer", "hierarchy", "benchmarks/match_speed.py")
    return stored("speed", key_of("stack", str(layers), code), make)


def changed(folder: Path, *steps: Step) -> Path:
    """The file of a folder after some steps, names scrambled at the end."""
    source = folder / "m.onnx"
    for number, step in enumerate((*steps, SCRAMBLED)):
        target = folder / f"{number}-{len(steps)}.onnx"
        if not target.exists():
            with tools_apart():
                step.apply(Given(source, target, feeds(source)))
        source = target
    return source


def feeds(path: Path) -> dict[str, Array]:
    """Inputs for a stack."""
    generator = torch.Generator().manual_seed(1)
    (name,) = (value.name for value in onnx.load(path).graph.input)
    return {name: torch.randn(4, WIDTH, generator=generator).numpy()}


def seconds_of(action: Callable[[], object], rounds: int) -> float:
    """The median of some rounds."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def annotating(path: Path, record: Path, out: Path, **more: Any) -> Callable[[], str]:
    """Annotate; says how many nodes got a tag, or that the record was refused."""

    def run() -> str:
        try:
            report = annotate(path, record, out, force=True, **more)
        except ForeignRecordError:
            return "refused"
        return f"{report.resolved} of {report.nodes}"

    return run


def running(path: Path) -> Callable[[], object]:
    """Load a file in onnxruntime with its defaults, and run it once."""
    given = feeds(path)

    def run() -> object:
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run(None, given)

    return run


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of nodes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"kept numbers, names scrambled; medians of {options.rounds} (limit {LIMIT} times)")
    print("| nodes | tagged | annotate s | load and run s | times | ms a node |")
    print("|---|---|---|---|---|---|")
    rates = {}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "out.onnx")
        for size in options.sizes:
            folder = traced(max(1, round(size / NODES_A_LAYER)))
            path = changed(folder)
            run = annotating(path, folder / "m.trace.json", out)
            tagged, spent = run(), seconds_of(run, options.rounds)
            beside = seconds_of(running(path), options.rounds)
            count = sum(1 for _ in walk_nodes(onnx.load(path)))
            rates[count] = spent / count * 1000
            print(
                f"| {count} | {tagged} | {spent:.3f} | {beside:.3f} "
                f"| {spent / beside:.2f} | {rates[count]:.3f} |"
            )
        large = [count for count in rates if count >= 1_000]
        if len(large) > 1:
            times = rates[large[-1]] / rates[large[0]]
            print(f"a node of {large[-1]} takes {times:.2f} times a node of {large[0]}", end="")
            print(" (1 is linear growth)")
        quantised(out)


def quantised(out: Path) -> None:
    """One file of about 1,000 nodes, int8 with scales between the nodes."""
    folder = traced(QUANTISED_LAYERS)
    path = changed(folder, PREPARED, QDQ)
    takes = "reference" in inspect.signature(annotate).parameters
    more = {"reference": folder / "m.onnx"} if takes else {}
    run = annotating(path, folder / "m.trace.json", out, **more)
    count = sum(1 for _ in walk_nodes(onnx.load(path)))
    start = time.perf_counter()
    tagged = run()
    spent = time.perf_counter() - start
    print(f"\nint8 QDQ, names scrambled: {count} nodes, tagged {tagged}, {spent:.2f} s", end="")
    print(f" (limit {QUANTISED_LIMIT:.0f} s)")


if __name__ == "__main__":
    main()
