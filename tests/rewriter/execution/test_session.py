"""Files that onnxruntime would not survive are refused before it gets them; endless ones end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from modelexport.errors import RunLimitError, RuntimeFailedError
from modelexport.hierarchy.choices import OptimisationLevel
from modelexport.rewriter import validate
from modelexport.rewriter.container import OnnxContainer, file_source, session_source
from modelexport.rewriter.execution import profiled_run, session
from modelexport.rewriter.execution.profiled_run import RunCounts, run_profiled
from modelexport.rewriter.execution.session import open_session
from tests.helpers.commands import Run, environment

OPSETS = '<ir_version: 10, opset_import: ["": 18, "own": 1]>'
ONES = """<domain: "own", opset_import: ["": 18]>
Ones () => (q) { q = Constant <value = float[2] {1.0, 1.0}> () }"""
IN_A_FUNCTION = """<domain: "own", opset_import: ["": 18, "own": 1]>
Outer (a) => (q) { q = own.Ones (a) }"""
IN_A_BRANCH = """y = If (on) <
    then_branch = t () => (float[2] p) { p = own.Ones (x) },
    else_branch = e () => (float[2] p) { p = Relu (x) }
>"""
CALLS = ["y = own.Ones (x)", IN_A_BRANCH, "y = own.Outer (x)"]


def save(call: str, folder: Path) -> Path:
    """A file whose graph has a call of a function that takes no inputs."""
    text = f"g (float[2] x, bool on) => (float[2] y) {{ {call} }} {ONES} {IN_A_FUNCTION}"
    onnx.save(parser.parse_model(OPSETS + text), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("call", CALLS)
def test_inputs_for_a_function_that_takes_none_are_refused(tmp_path: Path, call: str) -> None:
    """Some versions of onnxruntime look for the first input of the function, and abort."""
    file = save(call, tmp_path)
    with OnnxContainer.open(file) as container:
        with pytest.raises(RuntimeFailedError, match=r"m\.onnx: .* 1 inputs .* 'Ones'"):
            file_source(container)
        with pytest.raises(RuntimeFailedError, match="takes none"):
            session_source(container, container.skeleton())
    assert any("takes none" in fault.message for fault in validate(file).faults)


def test_such_a_reference_is_an_error(run: Run, annotated: Path, tmp_path: Path) -> None:
    """A reference is opened as any other file."""
    file = save(CALLS[0], tmp_path)
    result = run("validate", annotated, "--reference", file)
    assert result.code == 2
    assert "takes none" in result.err


def test_a_function_without_inputs_runs(tmp_path: Path) -> None:
    """It is called without any."""
    file = save("o = own.Ones () y = Add (x, o)", tmp_path)
    model = onnx.load(file)
    del model.functions[1:]
    onnx.save(model, file)
    assert open_session(file).inputs == ["x", "on"]


TWICE = """<domain: "own", opset_import: ["": 18]>
{name} ({formals}) => (q) {{ q = Identity (a) }}"""


def save_function(name: str, inputs: int, folder: Path) -> Path:
    """A file that calls a function of this name with some inputs."""
    formals = ", ".join("abc"[:inputs])
    function = TWICE.format(name=name, formals=formals)
    call = f"y = own.{name} ({', '.join(['x'] * inputs)})"
    text = f"g (float[2] x) => (float[2] y) {{ {call} }} {function}"
    onnx.save(parser.parse_model(OPSETS + text), folder / "m.onnx")
    return folder / "m.onnx"


@pytest.mark.parametrize("name", ["Add", "Sub", "Mul", "Div", "Gather"])
def test_a_function_that_is_taken_for_an_operator_is_refused(tmp_path: Path, name: str) -> None:
    """As many inputs are read as the operator has: the process aborts where there are fewer."""
    least = onnx.defs.get_schema(name).min_input
    file = save_function(name, least - 1, tmp_path)
    with OnnxContainer.open(file) as container:
        for make in (file_source, lambda file: session_source(file, file.skeleton())):
            with pytest.raises(RuntimeFailedError, match=f"'{name}'.*another name"):
                make(container)
    assert any("another name" in fault.message for fault in validate(file).faults)
    assert open_session(save_function(name, least, tmp_path)).inputs == ["x"]


@pytest.mark.parametrize("name", ["Size", "Squeeze", "Unsqueeze", "Add"])
def test_every_call_is_looked_at(tmp_path: Path, name: str) -> None:
    """A call may leave inputs of the function out, and stand in a branch."""
    branch = "y = If (on) < then_branch = t () => (float[2] p) { p = own.NAME () }, "
    branch += "else_branch = e () => (float[2] p) { p = Relu (x) } >"
    function = TWICE.format(name=name, formals="a, b")
    text = f"g (float[2] x, bool on) => (float[2] y) {{ {branch.replace('NAME', name)} }} "
    onnx.save(parser.parse_model(OPSETS + text + function), tmp_path / "m.onnx")
    with (
        OnnxContainer.open(tmp_path / "m.onnx") as container,
        pytest.raises(RuntimeFailedError, match="another name"),
    ):
        file_source(container)


ENDLESS = """<ir_version: 10, opset_import: ["": 18]>
g (float[N, 2] x, bool on) => (float[N, 2] y) {
    y = Loop ("", on, x) <body = b (int64 i, bool go, float[N, 2] v) => (bool more, float[N, 2] w) {
        w = Relu (v)
        more = Identity (go)
    }>
}"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file with a loop that has no end where its condition holds."""
    onnx.save(parser.parse_model(ENDLESS), tmp_path / "endless.onnx")
    np.savez(tmp_path / "on.npz", x=np.ones((1, 2), np.float32), on=np.array(True))
    return tmp_path / "endless.onnx"


def test_a_run_without_end_is_stopped(
    endless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever it is run: with generated inputs, with given ones, or measured."""
    monkeypatch.setattr(session, "RUN_SECONDS", 0.01)
    monkeypatch.setattr(profiled_run, "RUN_SECONDS", 0.01)
    feeds = dict(np.load(endless.with_name("on.npz")))
    assert open_session(endless).run(feeds | {"on": np.array(False)})["y"].any()
    stopped = pytest.raises(RunLimitError, match=r"endless\.onnx: .* more than 0\.01 s")
    with stopped:
        open_session(endless).run(feeds)
    with stopped:
        validate(endless)
    with OnnxContainer.open(endless) as container, stopped:
        source, counts = file_source(container), RunCounts(0, lambda *_: 1)
        level = OptimisationLevel.ALL
        run_profiled(
            endless, tmp_path / "p", feeds, source=source, level=level, runs=counts, threads=1
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run(endless: Path, number: signal.Signals) -> None:
    """The command does not wait for onnxruntime."""
    command = [sys.executable, "-m", "modelexport", "validate", endless]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        while not runs_beside(process.pid):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (128 + number, "modelexport: stopped.\n")


def runs_beside(process: int) -> bool:
    """Whether a thread beside the main one has worked for a while."""
    threads = Path(f"/proc/{process}/task").iterdir()
    texts = [(thread / "stat").read_text() for thread in threads if thread.name != str(process)]
    return any(int(text.split()[13]) > os.sysconf("SC_CLK_TCK") // 5 for text in texts)
