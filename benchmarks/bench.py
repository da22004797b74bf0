"""One table: what modelexport takes, beside what its peers take for the same, in one run.

    python benchmarks/bench.py --page docs/performance.md

Each measurement runs in a process of its own, in turns with the others, imports and a small file
first. Seconds are CPU seconds, medians of the rounds. Memory is the private memory that was added;
for the file with 8 GB of external data it is the whole memory of the process.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

import annotate_speed
import wide_graphs
from bench_tasks import TASKS
from peers import (
    EMBEDDED,
    LARGE,
    LARGE_TAGGED,
    OURS,
    SECOND,
    TAGGED,
    WIDE,
    Contender,
)

SECONDS, MEGABYTES = 2.0, 300.0
"""Limits of each command on the file with 8 GB of external data."""

SECONDS_PER_RUN = 120
"""Seconds after which a contender is stopped."""

BEGIN, END = "<!-- bench -->", "<!-- end of bench -->"
"""Lines of the page between which the table stands."""

LARGE_LAYERS, _WIDTH = 32, 8192
"""Layers of the large file, and rows and columns of their weights: 32 x 8192 x 8192 x 4 bytes."""

HEAD = ["| task | | CPU s | times modelexport | memory MB |", "|---|---|---:|---:|---:|"]

_MEGABYTES, _NODES = 220, 100_000
TITLES = [task.title.format(megabytes=_MEGABYTES, nodes=_NODES) for task in TASKS.values()]
"""The titles of all tasks, at the usual sizes."""

Row = dict[str, list[float]]
"""The seconds and megabytes of a contender, one of each round."""


def make_files(folder: Path, megabytes: int, nodes: int, layers: int = LARGE_LAYERS) -> None:
    """Write the files of all tasks.

    Args:
        folder: Where.
        megabytes: Size of the embedded file.
        nodes: Nodes of the wide files.
        layers: Layers of the large file, of 256 MB each.
    """
    from modelexport.rewriter import annotate

    annotate_speed.make(folder / EMBEDDED, megabytes)
    make_large(folder / LARGE, layers)
    for plain, tagged in ((EMBEDDED, TAGGED), (LARGE, LARGE_TAGGED)):
        source = folder / plain
        annotate(source, source.with_suffix(".trace.json"), folder / tagged, force=True)
    wide_graphs.make(folder / WIDE, "wide", nodes)
    wide_graphs.make(folder / SECOND, "wide", nodes, changed=True)


def make_large(path: Path, layers: int) -> None:
    """Write a chain of matrix products with external data, which has holes: it takes no space."""
    size = _WIDTH * _WIDTH * 4
    nodes, weights = [], []
    for layer in range(layers):
        for kind, inputs, output in (
            ("MatMul", [f"r{layer - 1}", f"w{layer}"], f"m{layer}"),
            ("Relu", [f"m{layer}"], f"r{layer}"),
        ):
            nodes.append(helper.make_node(kind, inputs, [output], f"{kind}_{layer}"))
        weight = TensorProto(name=f"w{layer}", data_type=TensorProto.FLOAT, dims=[_WIDTH, _WIDTH])
        weight.data_location = TensorProto.EXTERNAL
        entries = {"location": "large.data", "offset": layer * size, "length": size}
        for key, value in entries.items():
            weight.external_data.add(key=key, value=str(value))
        weights.append(weight)
    ends = ("r-1", f"r{layers - 1}")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, _WIDTH]) for name in ends]
    graph = helper.make_graph(nodes, "large", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    path.with_suffix(".trace.json").write_bytes(annotate_speed.record_of(model))
    with path.with_name("large.data").open("wb") as data:
        data.truncate(layers * size)
        data.write(np.arange(1024, dtype=np.float32).tobytes())


def once(task: str, name: str, folder: Path) -> dict[str, float]:
    """Run one contender in this process."""
    contender, has_limits = TASKS[task].contenders[name], TASKS[task].has_limits
    if TASKS[task].warm:
        with tempfile.TemporaryDirectory() as small:
            make_files(Path(small), 10, len(wide_graphs.LAYER), 4)
            contender(Path(small))
    if has_limits:
        seconds = timed(contender, folder)
        return {
            "seconds": seconds,
            "memory": own_peak(),
        }
    before, peak, stop = annotate_speed.anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, annotate_speed.anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        seconds = timed(contender, folder)
    finally:
        stop.set()
        watcher.join()
    return {"seconds": seconds, "memory": (max(peak, before) - before) / 1e6}


def own_peak() -> float:
    """The most memory that this process had, in MB; `ru_maxrss` counts the parent's before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def timed(contender: Contender, folder: Path) -> float:
    """CPU seconds of a contender; some measure themselves."""
    start = time.process_time()
    result = contender(folder)
    return result if isinstance(result, float) else time.process_time() - start


def measure(task: str, folder: Path) -> dict[str, Row | str]:
    """The figures of each contender of a task, or why it fails."""
    rows: dict[str, Row | str] = {}
    for _ in range(TASKS[task].rounds):
        for name in TASKS[task].contenders:
            command = [sys.executable, __file__, "--once", task, name, str(folder)]
            try:
                result = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=SECONDS_PER_RUN
                )
            except subprocess.TimeoutExpired:
                rows[name] = f"stopped after {SECONDS_PER_RUN} s"
                break
            if result.returncode:
                rows[name] = (result.stderr.strip().splitlines() or ["killed"])[-1][:100]
                continue
            figures = json.loads(result.stdout.splitlines()[-1])
            row = rows.setdefault(name, {"seconds": [], "memory": []})
            if isinstance(row, dict):
                for key, figure in figures.items():
                    row[key].append(figure)
    return rows


def lines_of(task: str, title: str, rows: dict[str, Row | str]) -> tuple[list[str], list[str]]:
    """The lines of a task, and where modelexport is not ahead or beyond its limits."""
    lines, behind = [], []
    ours = rows[OURS]
    for name, row in rows.items():
        if isinstance(row, str) or isinstance(ours, str):
            lines.append(f"| {title} | {name} | failed | | {row if isinstance(row, str) else ''} |")
            continue
        pairs = zip(row["seconds"], ours["seconds"], strict=False)
        ratio = statistics.median(other / own for other, own in pairs)
        seconds, memory = (statistics.median(row[key]) for key in ("seconds", "memory"))
        lines.append(f"| {title} | {name} | {seconds:.2f} | {ratio:.2f} | {memory:.0f} |")
        if ratio < 1 and not name.startswith(OURS):
            behind.append(f"{title}: {name} takes {ratio:.2f} times as long")
        if TASKS[task].has_limits and (seconds > SECONDS or memory > MEGABYTES):
            behind.append(f"{title}: over {SECONDS:.0f} s or {MEGABYTES:.0f} MB")
    return lines, behind


def write_page(page: Path, measured: dict[str, tuple[list[str], list[str]]]) -> None:
    """Put the table between its two lines of a page. Tasks that were not measured keep their rows.

    Args:
        page: The page.
        measured: By the title of each task that was measured, its rows, and where modelexport is
            not ahead.
    """
    before, _, rest = page.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    rows: list[str] = []
    behind: list[str] = []
    for title in dict.fromkeys([*TITLES, *measured]):
        kept = [
            [line for line in old.splitlines() if line.startswith(f"{start}{title}{end}")]
            for start, end in (("| ", " |"), ("- ", ":"))
        ]
        lines, more = measured.get(title, (kept[0], [line[2:] for line in kept[1]]))
        rows, behind = rows + lines, behind + more
    text = "\n".join([*HEAD, *rows, "", *verdict(behind)])
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def verdict(behind: list[str]) -> list[str]:
    """The lines that say where modelexport is not ahead."""
    return ["Not ahead, or over a limit:", "", *(f"- {line}" for line in behind or ["nowhere"])]


def main() -> int:
    """Measure everything, print the table, and say where modelexport is not ahead."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--megabytes", type=int, default=_MEGABYTES)
    parser.add_argument("--nodes", type=int, default=_NODES)
    parser.add_argument("--page", type=Path, help="the page to write the table into")
    parser.add_argument("--once", nargs=3, metavar=("TASK", "NAME", "FOLDER"))
    options = parser.parse_args()
    if options.once:
        task, name, folder = options.once
        print(json.dumps(once(task, name, Path(folder))))
        return 0
    measured: dict[str, tuple[list[str], list[str]]] = {}
    print(*HEAD, sep="\n", flush=True)
    with tempfile.TemporaryDirectory(dir="temp") as folder:
        make_files(Path(folder), options.megabytes, options.nodes)
        for task in options.tasks:
            title = TASKS[task].title.format(megabytes=options.megabytes, nodes=options.nodes)
            measured[title] = lines_of(task, title, measure(task, Path(folder)))
            print(*measured[title][0], sep="\n", flush=True)
            if options.page is not None:  # after each task: what was measured stays, come what may
                write_page(options.page, measured)
    print("", *verdict([line for _, more in measured.values() for line in more]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
