"""Batch runs in tests: a folder with models and files, the command, and what it wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from modelexport.hierarchy.record import encode_record
from tests.helpers.commands import CommandResult, running_command
from tests.helpers.handmade import two_layers, two_layers_record
from tests.helpers.part_folders import part_folder

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


def generating():
    from transformers import AutoConfig, AutoModelForCausalLM

    tokens = {"vocab_size": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", **sizes, **tokens))
    text = torch.arange(2, 14).reshape(2, 6)
    mask = torch.ones_like(text)
    mask[0, 0] = 0
    return model.eval(), {"input_ids": text, "attention_mask": mask}


def broken():
    raise ValueError("no such weights")


def dying():
    os._exit(3)
"""


MIXED = """
[defaults]
steps = ["trace", "annotate", "validate"]
[defaults.trace]
exporter = "torchscript"
[[models]]
source = "models.py:tiny"
[[models]]
name = "exported"
source = "models.py:tiny"
steps = ["export", "validate"]
annotate = {report = true}
[[models]]
source = "models.py:broken"
[[models]]
source = "models.py:dying"
[[models]]
source = "models.py:endless"
timeout = 1.5
[[models]]
source = "models.py:greedy"
memory = "1.5 GiB"
[[models]]
onnx = "plain.onnx"
record = "plain.trace.json"
[[models]]
name = "untagged"
onnx = "plain.onnx"
steps = ["validate"]
[[models]]
name = "last"
source = "models.py:tiny"
[[models]]
name = "generating"
source = "models.py:generating"
parts = true
annotate = {report = true, strict = true}
[[models]]
name = "generated"
source = "models.py:generating"
parts = true
steps = ["export"]
[[models]]
onnx = "parts"
parts = true
[[models]]
name = "untagged-parts"
onnx = "parts"
parts = true
steps = ["validate"]
"""
"""Good and bad jobs: models, files, and folders of parts."""


def write_sources(folder: Path) -> Path:
    """Write a plain file, its record, a folder of parts, and factories of models into a folder.

    Returns:
        The folder.
    """
    onnx.save(two_layers(), folder / "plain.onnx")
    (folder / "plain.trace.json").write_bytes(encode_record(two_layers_record()))
    part_folder(folder / "parts")
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
