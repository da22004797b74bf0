"""What wide module trees cost: `trace`, `annotate` and `analyze` over the number of modules.

Nearly all modules are children of one list and do not run, as experts that a router leaves out.
The seconds are CPU seconds of one process, after a first trace that loads the exporters.
"""

import argparse
import tempfile
import time
from pathlib import Path

from fixtures_gen.torch_zoo import rows
from fixtures_gen.unexpected.containers import Wide
from modelexport.rewriter import analyze, annotate
from modelexport.tracer import trace

EXPORTERS = ("torchscript", "dynamo")


def main() -> None:
    """Measure and print one line for each number of modules and each exporter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, nargs="+", default=[5_000, 20_000])
    options = parser.parse_args()
    for exporter in EXPORTERS:
        measure(1, exporter)
    print("| modules | exporter | trace s | annotate s | analyze s |")
    print("|--:|---|--:|--:|--:|")
    for modules in options.modules:
        for exporter in EXPORTERS:
            cells = " | ".join(f"{seconds:.2f}" for seconds in measure(modules, exporter))
            print(f"| {modules:,} | {exporter} | {cells} |", flush=True)


def measure(modules: int, exporter: str) -> tuple[float, float, float]:
    """CPU seconds of `trace`, `annotate` and `analyze`."""
    model = Wide(modules).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain, annotated = Path(folder, "m.onnx"), Path(folder, "a.onnx")
        begin = time.process_time()
        record = trace(model, rows(), plain, exporter=exporter).record
        traced = time.process_time()
        annotate(plain, record, annotated)
        tagged = time.process_time()
        analyze(annotated)
        return traced - begin, tagged - traced, time.process_time() - tagged


if __name__ == "__main__":
    main()
