"""A source that `trace` cannot take is bad input: one sentence, code 2, nothing written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoConfig

from tests.helpers.commands import Run, environment

FACTORIES = """
import torch
from torch import nn

def good():
    return nn.Linear(8, 8), (torch.randn(2, 8),)

def bare():
    return nn.Linear(8, 8)

def misfit():
    return nn.Linear(8, 8), (torch.randn(2, 7),)

def fails():
    raise ValueError("no such luck")

def text():
    return "a model"

NUMBER = 7
"""


@pytest.fixture
def sources(working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the test, with sources of many kinds."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (working_folder / "factories_here.py").write_text(FACTORIES)
    (working_folder / "broken_here.py").write_text("import nowhere_at_all\n")
    (working_folder / "garbled_here.py").write_text("def (:\n")
    config = AutoConfig.for_model(
        "bert", hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=20
    )
    config.save_pretrained(working_folder / "weightless")
    (working_folder / "empty").mkdir()
    (working_folder / "exists.onnx").write_bytes(b"mine")
    os.mkfifo(working_folder / "pipe.pt")
    (working_folder / "circle.onnx").symlink_to("circle.onnx")
    return working_folder


BAD = {
    "no such file": ("missing.py:good out.onnx", "missing.py"),
    "no such module": ("nowhere.at_all:good out.onnx", "nowhere"),
    "imports what is not there": ("broken_here.py:good out.onnx", "nowhere_at_all"),
    "no Python": ("garbled_here.py:good out.onnx", "garbled_here.py"),
    "no such factory": ("factories_here.py:missing out.onnx", "missing"),
    "no callable": ("factories_here.py:NUMBER out.onnx", "NUMBER"),
    "the factory fails": ("factories_here.py:fails out.onnx", "no such luck"),
    "no module": ("factories_here.py:text out.onnx", "str"),
    "no inputs": ("factories_here.py:bare out.onnx", "--input-shape"),
    "inputs that do not fit": ("factories_here.py:misfit out.onnx", "cannot run"),
    "a task for a factory": ("factories_here.py:good out.onnx --task fill-mask", "--task"),
    "a folder without weights": ("weightless out.onnx", "weightless"),
    "no such task": ("weightless out.onnx --task juggling", "juggling"),
    "a folder without a model": ("empty out.onnx", "config.json"),
    "no such folder": ("./no/such/folder out.onnx", "there is no such folder"),
    "a file": ("exists.onnx out.onnx", "exists.onnx"),
    "the output exists": ("factories_here.py:good exists.onnx", "--force"),
    "the record exists": ("factories_here.py:good out.onnx --record exists.onnx", "--force"),
    "no folder for the output": ("factories_here.py:good none/out.onnx", "none"),
    "a folder for the output": ("factories_here.py:good .", "a folder, not a file"),
    "a link to itself": ("factories_here.py:good circle.onnx", "circle.onnx"),
    "a pipe": ("pipe.pt out.onnx", "neither a folder nor a regular file"),
    "no such script": ("missing.pt out.onnx", "missing.pt: there is no such file"),
    "an input without end": (
        "factories_here.py:good out.onnx --input-shape input=2x9000000000000",
        "input cannot be made",
    ),
    "an opset that nobody has": ("factories_here.py:good out.onnx --opset 1000", "opset 1000"),
    "a bad shape": ("factories_here.py:good out.onnx --input-shape x=axb", "x=axb"),
}


@pytest.mark.parametrize(("arguments", "named"), BAD.values(), ids=BAD.keys())
def test_a_bad_source_gets_one_sentence(
    run: Run, sources: Path, arguments: str, named: str
) -> None:
    """Exit code 2, one line that names the thing, and the folder as it was."""
    before = sorted(sources.rglob("*"))
    code, printed, err = run("trace", *arguments.split())
    assert (code, printed) == (2, "")
    assert err.count("\n") == 1
    assert named in err
    assert sorted(sources.rglob("*")) == before
    assert (sources / "exists.onnx").read_bytes() == b"mine"


LIMITED = """
import resource, sys
from modelexport.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
main(sys.argv[1:])
"""


def test_a_disk_that_takes_no_more_leaves_nothing_behind(sources: Path) -> None:
    """When writing the model fails: one sentence that names it, and no file."""
    before = sorted(sources.rglob("*"))
    arguments = ["trace", "factories_here.py:good", "out.onnx", "--exporter", "torchscript"]
    ran = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert "out.onnx: cannot be written" in ran.stderr
    assert sorted(sources.rglob("*")) == before
