"""Batch runs measured: two workers against one, a killed worker, resuming, shared traces.

    python benchmarks/batch_speed.py [--models 30] [--exporter auto]

Every run is the real command, with all that it costs: starting workers, loading torch, ending.
Prints a table, and the load of the machine before it began. Exits with 1 when a figure is not
what is promised: 1.6 times as fast by two workers, a finished plan resumed in under 5 s, all
jobs done although a worker was killed, a matrix faster when its cells share their traces.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SPEED_UP = 1.6
RESUME_SECONDS = 5.0

WAYS = (["metadata"], ["names"], ["attributes"], ["metadata", "names"])
"""What the cells of the matrix differ in."""

SOURCES = """
import torch
from torch import nn


def make(depth):
    def build():
        torch.manual_seed(depth)
        parts = [(nn.Linear(16, 16), nn.GELU(), nn.LayerNorm(16)) for _ in range(depth)]
        blocks = (nn.Sequential(*part) for part in parts)
        return nn.Sequential(*blocks).eval(), (torch.randn(2, 16),)

    return build


for number in range({count}):
    globals()[f"tiny{{number}}"] = make(1 + number % 6)
"""


def main() -> int:
    """Measure, print, and say whether the promises hold."""
    options = _options()
    print(f"load before: {', '.join(f'{load:.2f}' for load in os.getloadavg())}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, options.models, options.exporter)
        one = _run(folder, "--workers", "1", "--force")
        two = _run(folder, "--workers", "2", "--force")
        resumed = _run(folder, "--resume")
        killed, survived = _killed(folder, options.models)
        models = max(1, options.models // len(WAYS))
        shared, apart = (_matrix(folder, models, options.exporter, alone=a) for a in (False, True))
    done = "all done" if survived else "not all done"
    good = one / two >= SPEED_UP and resumed < RESUME_SECONDS and survived
    good = good and shared < apart
    print(f"\n{options.models} tiny models ({options.exporter} exporter), {os.cpu_count()} cores\n")
    print("| run | seconds |\n|---|--:|")
    print(
        f"| one worker | {one:.1f} |\n| two workers | {two:.1f} ({one / two:.2f} times as fast) |"
    )
    print(f"| two workers, one of them killed | {killed:.1f} ({done}) |")
    print(f"| resumed when all was done | {resumed:.2f} |")
    print(f"| {models} models in {len(WAYS)} ways, a trace each model | {shared:.1f} |")
    print(f"| the same, a trace each job | {apart:.1f} ({apart / shared:.2f} times as long) |")
    return 0 if good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=30)
    parser.add_argument("--exporter", default="auto")
    return parser.parse_args()


def _prepare(folder: Path, count: int, exporter: str) -> None:
    (folder / "sources.py").write_text(SOURCES.format(count=count))
    models = "".join(f'[[models]]\nsource = "sources.py:tiny{n}"\n' for n in range(count))
    plan = f'[defaults]\ntrace = {{exporter = "{exporter}"}}\n{models}'
    (folder / "plan.toml").write_text(plan)


def _matrix(folder: Path, count: int, exporter: str, *, alone: bool) -> float:
    """Seconds for models in several ways each; a limit of its own lets a job trace alone."""
    plan = f'out = "{"alone" if alone else "shared"}"\n'
    plan += f'[defaults]\ntrace = {{exporter = "{exporter}"}}\n'
    for number in range(count):
        for way, inject in enumerate(WAYS):
            plan += f'[[models]]\nname = "m{number}-{way}"\nsource = "sources.py:tiny{number}"\n'
            plan += f"annotate = {{inject = {json.dumps(inject)}}}\n"
            plan += f"timeout = {1000 + way}\n" if alone else ""
    (folder / "plan.toml").write_text(plan)
    return _run(folder, "--workers", "2")


def _start(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "modelexport", "--quiet", "batch", "plan.toml", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def _run(folder: Path, *options: str) -> float:
    """Seconds of a run that must do all."""
    began = time.perf_counter()
    if _start(folder, *options).wait() != 0:
        sys.exit(f"batch {' '.join(options)} failed")
    return time.perf_counter() - began


def _killed(folder: Path, count: int) -> tuple[float, bool]:
    """Seconds of a run of which a worker is killed when a third is done, and whether all was."""
    for path in (folder / "out" / ".batch" / "done").iterdir():
        path.unlink()
    began = time.perf_counter()
    run = _start(folder, "--workers", "2", "--force")
    while len(list((folder / "out" / ".batch" / "done").iterdir())) < count // 3:
        time.sleep(0.1)
    workers = [p for p in psutil.Process(run.pid).children() if "spawn_main" in str(p.cmdline())]
    workers[0].send_signal(signal.SIGKILL)
    code = run.wait()
    seconds = time.perf_counter() - began
    rows = json.loads((folder / "out" / "summary.json").read_text())["jobs"]
    return seconds, code == 0 and all(row["state"] == "done" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
