"""What tests of batch runs share: a folder with files to annotate, and the command as a process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from modelexport.hierarchy.record import encode_record
from tests.helpers.handmade import two_layers, two_layers_record

ROOT = Path(__file__).resolve().parents[2]

MODELS = """
import os
import time

import torch
from torch import nn
from helper import WIDTH


def tiny():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))
    return layers.eval(), (torch.ones(3, WIDTH),)


def slow():
    time.sleep(1)
    return tiny()


def endless():
    open("begun", "w").close()
    while True:
        time.sleep(0.05)


def greedy():
    kept = []
    while True:
        kept.append(torch.ones(1 << 22))


def broken():
    raise ValueError("no such weights")


def dying():
    os._exit(3)
"""


def place(folder: Path) -> Path:
    """A plain file, its record, and factories of models, in a folder."""
    onnx.save(two_layers(), folder / "plain.onnx")
    (folder / "plain.trace.json").write_bytes(encode_record(two_layers_record()))
    (folder / "models.py").write_text(MODELS)
    (folder / "helper.py").write_text("WIDTH = 4\n")
    return folder


def write_plan(folder: Path, text: str) -> Path:
    """A plan in a folder."""
    (folder / "plan.toml").write_text(text)
    return folder / "plan.toml"


def environment() -> dict[str, str]:
    """For commands that run this checkout's code."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextmanager
def started(folder: Path, *command: str) -> "Iterator[subprocess.Popen[str]]":
    """A command under way, in a group of its own as a shell would start it; ended with the body."""
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def batch(folder: Path, *options: str) -> tuple[int, str, str]:
    """Run `modelexport batch plan.toml`; exit code, output, errors."""
    with started(folder, "modelexport", "batch", "plan.toml", *options) as ran:
        out, err = ran.communicate(timeout=120)
    return ran.returncode, out, err


def summary(folder: Path) -> dict[str, Any]:
    """What the run wrote down."""
    return json.loads((folder / "out" / "summary.json").read_text())  # type: ignore[no-any-return]


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The jobs of the summary by id."""
    return {row["job"]: row for row in summary(folder)["jobs"]}


def left_under_way(folder: Path) -> Sequence[Path]:
    """What a run left of files that were not complete."""
    scratch = folder / "out" / ".batch" / "scratch"
    return [*scratch.iterdir(), *folder.rglob("*.part")]
