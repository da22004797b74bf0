"""Batch runs in tests: a folder with models and files, the command, and what it wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from modelexport.hierarchy.record import encode_record
from tests.helpers.commands import CommandResult, running_command
from tests.helpers.handmade import two_layers, two_layers_record

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


def write_sources(folder: Path) -> Path:
    """Write a plain file, its record, and factories of models into a folder; gives the folder."""
    onnx.save(two_layers(), folder / "plain.onnx")
    (folder / "plain.trace.json").write_bytes(encode_record(two_layers_record()))
    (folder / "models.py").write_text(MODELS)
    (folder / "helper.py").write_text("WIDTH = 4\n")
    return folder


def write_plan(folder: Path, text: str) -> Path:
    """Write a plan into a folder; gives its path."""
    (folder / "plan.toml").write_text(text)
    return folder / "plan.toml"


def run_batch(folder: Path, *options: str) -> CommandResult:
    """Run `modelexport batch plan.toml` in a folder."""
    with running_command(folder, "modelexport", "batch", "plan.toml", *options) as process:
        out, err = process.communicate(timeout=120)
    return CommandResult(process.returncode, out, err)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary that a run wrote."""
    return json.loads((folder / "out" / "summary.json").read_text())  # type: ignore[no-any-return]


def job_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The jobs of the summary by id."""
    return {row["job"]: row for row in read_summary(folder)["jobs"]}


def unfinished_files(folder: Path) -> Sequence[Path]:
    """Files that a run has begun and not completed."""
    scratch = folder / "out" / ".batch" / "scratch"
    return [*scratch.iterdir(), *folder.rglob("*.part")]
