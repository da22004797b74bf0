"""Files that onnxruntime would not survive are refused before it gets them."""

from pathlib import Path

import onnx
import pytest
from onnx import parser

from modelexport.errors import RuntimeFailedError
from modelexport.rewriter import validate
from modelexport.rewriter.container import OnnxContainer, file_source, session_source
from modelexport.rewriter.execution.session import open_session
from tests.helpers.commands import Run

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
