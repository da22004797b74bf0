"""Wrong uses: real command lines that end with exit code 2, one clear sentence and no new file."""

import shlex
import stat
from pathlib import Path

import onnx
import pytest

from modelexport.hierarchy.record import encode_record
from modelexport.rewriter import annotate
from tests.helpers.commands import CommandResult, Run, modelexport
from tests.helpers.handmade import number_weights, two_layers, two_layers_record

SOURCES = """
import torch
from torch import nn

def good():
    return nn.Linear(8, 8), (torch.randn(2, 8),)
"""
CONFIGS = {
    "unknown.json": '{"opsett": 17}',
    "shape.json": '{"inputs": {"y": {}, "x": {"shape": [2, "8"]}}}',
    "range.toml": "[inputs.x]\nrange = [3, 1]\n",
    "axes.yaml": "dynamic_axes:\n  x:\n    first: batch\n",
    "opset.yaml": "opset: seventeen\n",
    "garbled.json": '{"opset": ',
    "garbled.toml": "opset = \n",
    "config.ini": "[opset]\n",
}

ANNOTATE = "annotate plain.onnx --record plain.trace.json -o out.onnx"

WRONG = {
    # what is no command, no option or no value of one
    "no such command": ("annotat plain.onnx", "annotat"),
    "no such option": ("analyze plain.onnx --frobnicate", "--frobnicate"),
    "no value": ("annotate plain.onnx -o", "-o"),
    "a value too many": ("strip a.onnx b.onnx -o out.onnx", "b.onnx"),
    "no file at all": ("annotate", "IN.onnx"),
    "no source at all": ("export", "source"),
    "no output at all": ("export good.py:good", "OUT.onnx"),
    "no output of strip": ("strip a.onnx", "--output"),
    "no such format": ("analyze a.onnx --output-format xml", "xml"),
    "no such style": ("annotate plain.onnx -o out.onnx --tag-style round", "round"),
    "no such injection": ("annotate plain.onnx -o out.onnx --inject magic", "magic"),
    "no such evidence": ("annotate plain.onnx -o out.onnx --evidence magic", "magic"),
    "no size of memory": ("annotate plain.onnx -o out.onnx --memory lots", "--memory lots"),
    "no memory": ("annotate plain.onnx -o out.onnx --memory 0", "--memory"),
    "no such exporter": ("trace good.py:good out.onnx --exporter magic", "magic"),
    "no such strategy": ("export good.py:good out.onnx --strategy magic", "magic"),
    "no number": ("trace good.py:good out.onnx --opset new", "--opset"),
    "too small a number": ("trace good.py:good out.onnx --opset 3", "7"),
    "a negative depth": ("annotate plain.onnx -o out.onnx --depth -1", "--depth"),
    "a negative depth of the shown modules": ("compare a.onnx a.onnx --depth -1", "--depth"),
    "no nodes at least": ("annotate plain.onnx -o out.onnx --min-nodes 0", "--min-nodes"),
    "no such shell": ("--show-completion sh", "sh"),
    # options that do not fit together
    "runs beside a profile": ("profile a.onnx --import a.onnx --runs 3", "--runs"),
    "order of lines": ("profile a.onnx --by line --sort name", "--by line sorts by time"),
    "order of two files": ("profile a.onnx a.onnx --sort name", "largest difference"),
    "an optimised file as text": ("profile a.onnx --save-optimised -", "--save-optimised"),
    "two texts at once": ("profile a.onnx --trace - --speedscope -", "standard output"),
    "two from standard input": ("annotate - --record - -o out.onnx", "standard input"),
    "two to standard output": ("strip a.onnx -o - --output-format json", "standard output"),
    "a pipe for two files": ("export good.py:good -", "OUT.onnx"),
    "nothing to write": ("annotate plain.onnx --record plain.trace.json", "-o OUT.onnx"),
    "two files alone": ("trace good.py:good out.onnx --record-only r.json", "--record-only"),
    "neither file nor record": ("trace good.py:good", "OUT.onnx"),
    "an eager file": ("trace good.py:good out.onnx --exporter eager", "--record-only"),
    "an eager export": ("export good.py:good out.onnx --exporter eager", "--record-only"),
    "two hierarchies": (
        "annotate plain.onnx --record plain.trace.json --from a.onnx -o out.onnx",
        "--from",
    ),
    "a probe of its own": (
        "annotate plain.onnx --record plain.trace.json --probe i.npz -o out.onnx",
        "--probe",
    ),
    "not run, but with inputs": (
        "annotate plain.onnx --record plain.trace.json --no-run --reference plain.onnx -o out.onnx",
        "--no-run",
    ),
    "functions that are not injected": (f"{ANNOTATE} --functions all", "--inject functions"),
    "functions that are not exported": (
        "export good.py:good out.onnx --functions all",
        "--inject functions",
    ),
    "functions in two ways": (
        f"{ANNOTATE} --inject functions --functions all --functions nested",
        "--functions",
    ),
    "absolute scopes inside functions": (
        "annotate plain.onnx --record plain.trace.json -o out.onnx --inject functions --torch-keys",
        "--torch-keys",
    ),
    "a plain file with hierarchy": (
        "export good.py:good out.onnx --clean-onnx --inject names",
        "--clean-onnx",
    ),
    "two results on one output": (
        "annotate plain.onnx --record plain.trace.json -o out.onnx --report - --output-format json",
        "standard output",
    ),
    "two exports on one output": (
        "export good.py:good out.onnx --report - --output-format json",
        "standard output",
    ),
    # files that are not what they should be
    "no such file": ("analyze nowhere.onnx", "nowhere.onnx"),
    "a text": ("validate notes.txt", "notes.txt"),
    "a folder": ("strip . -o out.onnx", "."),
    "an empty file": ("annotate empty.onnx --record plain.trace.json -o out.onnx", "empty.onnx"),
    "half a file": ("analyze half.onnx", "half.onnx"),
    "no such record": ("annotate plain.onnx --record no.json -o out.onnx", "no.json"),
    "a model for a record": ("annotate plain.onnx --record a.onnx -o out.onnx", "a.onnx"),
    "a record for a model": ("analyze plain.trace.json", "plain.trace.json"),
    "another model's record": (
        "annotate other.onnx --record plain.trace.json -o out.onnx",
        "another model",
    ),
    "nothing to go by": ("annotate nameless.onnx -o out.onnx", "--record"),
    "an heir of nothing": (
        "annotate plain.onnx --from nameless.onnx -o out.onnx",
        "nameless.onnx",
    ),
    "no functions to inline": ("strip a.onnx -o out.onnx --functions", "functions"),
    "no such node": (
        "annotate plain.onnx --record plain.trace.json --explain nothing",
        "nothing",
    ),
    "no node of that number": (
        "annotate plain.onnx --record plain.trace.json --explain '#99'",
        "#99",
    ),
    "no such module": ("analyze a.onnx --module layer.7", "'layer.7'"),
    "a model in torch behind a file": ("compare a.onnx good.py:good --numeric", "comes first"),
    "no such module of either": ("compare a.onnx a.onnx --module layer.7", "'layer.7'"),
    "a module of nothing": ("compare a.onnx a.onnx --module ' '", "' '"),
    # places that cannot be written
    "an existing output": ("annotate plain.onnx --record plain.trace.json -o a.onnx", "--force"),
    "the input itself": (
        "annotate plain.onnx --record plain.trace.json -o plain.onnx --force",
        "also an input",
    ),
    "no such place": ("strip a.onnx -o no/such/out.onnx", "no/such/out.onnx"),
    "a file as a folder": ("strip a.onnx -o notes.txt/out.onnx", "notes.txt"),
    "an existing report": (
        "annotate plain.onnx --record plain.trace.json -o out.onnx --report notes.txt",
        "notes.txt",
    ),
    "a report that is the output": (
        "annotate plain.onnx --record plain.trace.json -o out.onnx --report out.onnx",
        "one file",
    ),
    "a record that is the output": (
        "trace good.py:good out.onnx --record out.onnx",
        "one file",
    ),
    "an existing trace": ("trace good.py:good a.onnx", "--force"),
    "an existing record": ("export good.py:good plain.onnx", "--force"),
    # configurations and shapes
    "no such configuration": ("trace good.py:good out.onnx --config no.json", "no.json"),
    "a key that is none": ("trace good.py:good out.onnx --config unknown.json", "opsett"),
    "a shape of text": ("export good.py:good out.onnx --config shape.json", "$.inputs.x.shape[1]"),
    "a range upside down": ("export good.py:good out.onnx --config range.toml", "$.inputs.x"),
    "an axis by name": ("trace good.py:good out.onnx --config axes.yaml", "$.dynamic_axes.x"),
    "an opset in words": ("trace good.py:good out.onnx --config opset.yaml", "$.opset"),
    "garbled JSON": ("trace good.py:good out.onnx --config garbled.json", "JSON"),
    "garbled TOML": ("trace good.py:good out.onnx --config garbled.toml", "TOML"),
    "another format": ("trace good.py:good out.onnx --config config.ini", ".json"),
    "a shape without a name": ("trace good.py:good out.onnx --input-shape 2x8", "--input-shape"),
    "a shape of nothing": ("trace good.py:good out.onnx --input-shape x=0x8", "x=0x8"),
    "a dtype of nothing": ("trace good.py:good out.onnx --input-shape x=2x8:int7", "int7"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files for all of it; nothing may be added or changed."""
    folder = tmp_path_factory.mktemp("wrong")
    plain, record = two_layers(), two_layers_record()
    onnx.save(plain, folder / "plain.onnx")
    onnx.save(two_layers(8), folder / "other.onnx")
    (folder / "plain.trace.json").write_bytes(encode_record(record))
    annotate(folder / "plain.onnx", record, folder / "a.onnx")
    for node in plain.graph.node:
        node.name = ""
    onnx.save(number_weights(plain), folder / "nameless.onnx")
    data = (folder / "plain.onnx").read_bytes()
    (folder / "half.onnx").write_bytes(data[: len(data) // 2])
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "notes.txt").write_text("these are notes\n" * 20)
    (folder / "good.py").write_text(SOURCES)
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    return folder


def contents(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    paths = sorted(folder.rglob("*"))
    return {str(p): p.read_bytes() if stat.S_ISREG(p.lstat().st_mode) else None for p in paths}


PROCESSES = (
    "no such command", "no value", "two hierarchies", "no such file", "an existing output",
    "garbled JSON",
)  # fmt: skip
"""Wrong uses of each sort, which are run in a process of their own, too."""


@pytest.mark.parametrize(("line", "named"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_gets_one_sentence(
    folder: Path,
    line: str,
    named: str,
    run_with_libraries: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names the thing; nothing is printed, written or changed."""
    monkeypatch.chdir(folder)
    before = contents(folder)
    check_one_sentence(run_with_libraries(*shlex.split(line)), named)
    assert contents(folder) == before


@pytest.mark.parametrize("use", PROCESSES)
def test_a_process_that_is_used_wrongly_prints_the_same(folder: Path, use: str) -> None:
    """Nothing is added when it starts and when it ends."""
    line, named = WRONG[use]
    before = contents(folder)
    check_one_sentence(modelexport(*shlex.split(line), cwd=folder), named)
    assert contents(folder) == before


def check_one_sentence(ran: CommandResult, named: str) -> None:
    """Whether a command ended with code 2 and one sentence about a thing."""
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("modelexport: ")
    assert ran.err.endswith(".\n")
    assert ran.err.count("\n") == 1
    assert named in ran.err
    assert "run with --verbose" not in ran.err
    assert "Traceback" not in ran.err
