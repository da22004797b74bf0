"""A batch run of 500 jobs with faults: damaged inputs, killed workers, the run itself killed.

Every run is the real command. Some jobs have a damaged model or the record of another model, some
run code that fails, dies or never ends. While they run, workers are killed, and then the run itself
is killed and resumed, several times. At the end every job must have the state that its own inputs
deserve, with a sentence, and its files or none; nothing unfinished and no process may be left.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from faulting.scenes import write_inputs

ROOT = Path(__file__).resolve().parent.parent
SOURCES = """
import os
import time


def broken():
    raise ValueError("no such weights")


def dying():
    os._exit(3)


def endless():
    while True:
        time.sleep(0.05)
"""
_EVERY = 10
"""Distance of jobs with a damaged model; next to each is one with the record of another model."""


def main() -> int:
    """Run, print the table, and say whether all is as it should be."""
    options = _options()
    source = random.Random(options.seed)  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = _prepare(folder, options.jobs)
        rows = [("run, with workers killed", *_with_killed_workers(folder, options.kills, source))]
        for number in range(options.restarts):
            label = f"resumed and killed, {number + 1}"
            rows.append((label, *_killed_run(folder, source, fresh=not number)))
        code, seconds = _run(folder, "--resume")
        rows.append(("resumed to the end", code, seconds))
        problems = list(_problems(folder, expected, code))
        first = problems or list(_problems_of_second(folder, expected))
    print("| run | exit code | seconds |\n|---|---:|---:|")
    for label, ended, took in rows:
        print(f"| {label} | {ended} | {took:.0f} |")
    states = Counter(expected.values())
    print(f"\n{len(expected)} jobs: {', '.join(f'{n} {state}' for state, n in states.items())}")
    print("\n".join(first) or "no problems")
    return 1 if first else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--kills", type=int, default=5, help="workers that are killed")
    parser.add_argument("--restarts", type=int, default=3, help="times that the run is killed")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _prepare(folder: Path, count: int) -> dict[str, str]:
    """Write a plan and its inputs; gives the state that each job must have at the end."""
    write_inputs(folder)
    (folder / "sources.py").write_text(SOURCES)
    data = (folder / "plain.onnx").read_bytes()
    record = (folder / "record.json").read_text()
    (folder / "cut.onnx").write_bytes(data[: len(data) // 2])
    (folder / "other.json").write_text(record.replace("part", "piece").replace('"w', '"v')[:-9])
    states: dict[str, str] = {}
    entries = []
    for name, model, record_name, state in _jobs(count):
        states[name] = state
        entries.append(f'[[models]]\nname = "{name}"\nonnx = "{model}"\nrecord = "{record_name}"\n')
    for name, state in (("broken", "failed"), ("dying", "failed"), ("endless", "timeout")):
        states[name] = state
        entry = f'[[models]]\nname = "{name}"\nsource = "sources.py:{name}"\nsteps = ["trace"]\n'
        entries.append(entry + "timeout = 3\n")
    plan = '[defaults]\nsteps = ["annotate", "validate"]\n' + "".join(entries)
    (folder / "plan.toml").write_text(plan)
    return states


def _jobs(count: int) -> Iterator[tuple[str, str, str, str]]:
    """Name, model, record and state at the end of each job."""
    for number in range(count - 3):
        if number % _EVERY == 0:
            yield f"job{number}", "cut.onnx", "record.json", "failed"
        elif number % _EVERY == 1:
            yield f"job{number}", "plain.onnx", "other.json", "failed"
        else:
            yield f"job{number}", "plain.onnx", "record.json", "done"


def _start(folder: Path, *options: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "modelexport", "--quiet", "batch", "plan.toml", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _run(folder: Path, *options: str) -> tuple[int, float]:
    began = time.monotonic()
    return _start(folder, *options).wait(), time.monotonic() - began


def _done(folder: Path) -> int:
    done = folder / "out" / ".batch" / "done"
    return len(list(done.iterdir())) if done.is_dir() else 0


def _with_killed_workers(folder: Path, kills: int, source: random.Random) -> tuple[int, float]:
    """A run to the end, in which some workers are killed at random moments."""
    began = time.monotonic()
    run = _start(folder, "--workers", "2")
    for number in range(kills):
        while run.poll() is None and _done(folder) < 10 + number * 40:
            time.sleep(0.1)
        time.sleep(source.uniform(0, 1))
        if run.poll() is None:
            children = psutil.Process(run.pid).children()
            workers = [p for p in children if "spawn_main" in " ".join(p.cmdline())]
            if workers:
                source.choice(workers).send_signal(signal.SIGKILL)
    return run.wait(), time.monotonic() - began


def _killed_run(folder: Path, source: random.Random, *, fresh: bool) -> tuple[int, float]:
    """A run that is killed itself at a random moment; with `fresh` it begins from nothing."""
    began = time.monotonic()
    before = 0 if fresh else _done(folder)
    if fresh:
        shutil.rmtree(folder / "out")
    run = _start(folder, "--workers", "2", "--resume")
    while run.poll() is None and _done(folder) < before + 20:
        time.sleep(0.1)
    time.sleep(source.uniform(0, 3))
    run.kill()
    return run.wait(), time.monotonic() - began


def _problems(folder: Path, expected: Mapping[str, str], code: int) -> Iterator[str]:
    """What is not as it should be after the last run."""
    if code != 1:
        yield f"exit code {code}, though jobs failed"
    rows: dict[str, dict[str, Any]] = {
        row["job"]: row for row in json.loads((folder / "out" / "summary.json").read_text())["jobs"]
    }
    if rows.keys() != expected.keys():
        yield f"jobs are missing: {sorted(expected.keys() - rows.keys())}"
    for name, row in rows.items():
        state = "done" if row["state"] == "kept" else row["state"]
        error, output = row["error"] or "", folder / "out" / f"{name}.annotated.onnx"
        if state != expected[name]:
            yield f"{name}: {state}, not {expected[name]} ({error})"
        elif state != "done" and (not error or "unexpected" in error or "\n" in error):
            yield f"{name}: it says {error!r}"
        if output.exists() != (state == "done"):
            yield f"{name}: {state}, and its file is {'there' if output.exists() else 'missing'}"
    yield from _leftovers(folder)


def _leftovers(folder: Path) -> Iterator[str]:
    """Unfinished files, and processes that work in the folder."""
    scratch = folder / "out" / ".batch" / "scratch"
    for path in [*scratch.iterdir(), *folder.rglob("*.part")]:
        yield f"left: {path.relative_to(folder)}"
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and list(_processes(folder)):
        time.sleep(0.5)
    for process in _processes(folder):
        yield f"still running: {process}"


def _processes(folder: Path) -> Iterator[str]:
    for process in psutil.process_iter(["cwd", "cmdline"]):
        if process.info["cwd"] == str(folder) and process.pid != os.getpid():
            yield " ".join(process.info["cmdline"] or [])


def _problems_of_second(folder: Path, expected: Mapping[str, str]) -> Iterator[str]:
    """A finished plan that is resumed does only what failed."""
    code, _ = _run(folder, "--resume")
    yield from _problems(folder, expected, code)
    rows = json.loads((folder / "out" / "summary.json").read_text())["jobs"]
    kept = sum(row["state"] == "kept" for row in rows)
    good = sum(state == "done" for state in expected.values())
    if kept != good:
        yield f"{kept} of {good} jobs were kept"


if __name__ == "__main__":
    sys.exit(main())
