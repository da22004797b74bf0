"""How long commands take that load little: the program's help, and a small file analyzed.

Each is a process of its own, as in a shell; beside them Python doing nothing, which is the
least that any of them can take.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx
from onnx import parser

LIMIT = 0.5
"""Seconds that a user does not notice as waiting."""

SMALL = """
<ir_version: 8, opset_import: ["" : 17]>
small (float[N, 4] x) => (float[N, 4] y) { [only] y = Relu (x) }
"""


def seconds(command: list[str], folder: Path, rounds: int) -> list[float]:
    """Wall times of a command."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return times


def main() -> int:
    """Print a table; exit with 1 when a median is over the limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    rounds = options.parse_args().rounds
    modelexport = [sys.executable, "-m", "modelexport"]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "modelexport --help": [*modelexport, "--help"],
        "modelexport annotate --help": [*modelexport, "annotate", "--help"],
        "modelexport doctor": [*modelexport, "doctor"],
        "modelexport analyze small.onnx": [*modelexport, "analyze", "small.onnx"],
        "modelexport strip small.onnx": [
            *modelexport,
            *["strip", "small.onnx", "-o", "o.onnx", "--force"],
        ],
    }
    slow = False
    print(f"{'command':<34}{'median s':>10}{'best s':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(parser.parse_model(SMALL), folder / "small.onnx")
        for label, command in commands.items():
            seconds(command, folder, 1)  # the file cache is warm, as in daily use
            times = seconds(command, folder, rounds)
            slow |= statistics.median(times) > LIMIT
            print(f"{label:<34}{statistics.median(times):>10.3f}{min(times):>10.3f}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
