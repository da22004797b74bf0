"""What fails in an exporter: an eager record where one is asked for, else one sentence."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn
from transformers.exporters import exporter_onnx
from transformers.exporters.exporter_onnx import OnnxExporter

from fixtures_gen.zoo import FIXTURES
from modelexport.errors import ExportFailedError, SourceError, UsageError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.export_config import TraceOptions
from modelexport.tracer import record, recording, trace
from modelexport.tracer.exporters import selection
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.from_config import trace_arguments
from tests.helpers.commands import CommandResult, Run, modelexport

LIBRARY = "modelexport_tests"
SOURCE = f'''
import torch
from torch import nn

def define(name, function):
    operator = torch.library.custom_op(
        "{LIBRARY}::" + name, function, mutates_args=(), schema="(Tensor x) -> Tensor"
    )
    operator.register_fake(torch.empty_like)
    return operator

twice = define("twice", lambda x: x * 2)
less = define("less", lambda x: x - 1)

class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return less(twice(self.inner(x)))

def build():
    torch.manual_seed(3)
    return Custom().eval(), (torch.randn(2, 8),)
'''
TABLE = f"""
import torch
from onnxscript import opset18 as op

def twice(x):
    return op.Add(x, x)

def less(x):
    return op.Sub(x, op.CastLike(op.Constant(value_float=1.0), x))

PART = {{torch.ops.{LIBRARY}.twice.default: twice}}
WHOLE = {{**PART, torch.ops.{LIBRARY}.less.default: less}}
"""


@pytest.fixture
def custom(working_folder: Path) -> Path:
    """A folder with a model of custom operators, and with tables of their translations."""
    (working_folder / "custom_net.py").write_text(SOURCE)
    (working_folder / "custom_table.py").write_text(TABLE)
    return working_folder


COMMAND = ("trace", "custom_net.py:build")


def check_named_in_one_sentence(ran: CommandResult) -> None:
    """Whether standard error has one line: the operators, and both ways on."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    for words in (f"{LIBRARY}::twice", f"{LIBRARY}::less", "--custom-translation", "--record-only"):
        assert words in ran.err
    assert not Path("out.onnx").exists()


@pytest.mark.parametrize("exporter", [*EXPORTERS, Exporter.AUTO])
@pytest.mark.usefixtures("custom")
def test_custom_operators_are_named_in_one_sentence(exporter: str, run_with_libraries: Run) -> None:
    """All that is printed is one line, also by torch's C++, past Python's streams."""
    ran = run_with_libraries(*COMMAND, "out.onnx", "--exporter", exporter)
    check_named_in_one_sentence(ran)


def test_a_process_prints_nothing_more_at_its_end(custom: Path) -> None:
    """Custom operators are refused in one line, and nothing follows when libraries unload."""
    check_named_in_one_sentence(modelexport(*COMMAND, "out.onnx", cwd=custom))


@pytest.mark.usefixtures("custom")
def test_verbose_shows_what_the_exporter_printed(run_with_libraries: Run) -> None:
    """TorchScript's graph is in the traceback."""
    ran = run_with_libraries(*COMMAND, "out.onnx", "--exporter", "torchscript", "--verbose")
    assert ran.code == 2
    assert "Torch IR graph at exception" in ran.err
    assert f"{LIBRARY}::twice" in ran.err


@pytest.mark.usefixtures("custom")
def test_a_table_translates_custom_operators(run_with_libraries: Run) -> None:
    """The file computes what the model computes; operators that the table lacks are named."""
    run = run_with_libraries
    ran = run(*COMMAND, "out.onnx", "--custom-translation", "custom_table.py:PART")
    assert ran.code == 2
    assert f"{LIBRARY}::less" in ran.err
    assert f"It calls {LIBRARY}::twice" not in ran.err
    ran = run(*COMMAND, "out.onnx", "--custom-translation", "custom_table.py:WHOLE")
    assert (ran.code, ran.err) == (0, "")
    Path("config.toml").write_text('custom_translation = "custom_table.py:WHOLE"\n')
    ran = run(*COMMAND, "again.onnx", "--config", "config.toml")
    assert (ran.code, ran.err) == (0, "")
    types = [node.op_type for node in onnx.load("out.onnx").graph.node]
    assert types == [node.op_type for node in onnx.load("again.onnx").graph.node]
    assert {"Add", "Sub"} <= set(types)


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("no_table.py:NUMBER", "translation table"),
        ("no_table.py:BY_NAME", "translation table"),
        ("no_table.py:NOTHING", "NOTHING"),
        ("no_table.py", r"file\.py:TABLE"),
        ("no_file.py:TABLE", r"no_file\.py"),
    ],
)
def test_a_table_that_is_none_is_refused(source: str, match: str, working_folder: Path) -> None:
    """With its name, and what it must be."""
    (working_folder / "no_table.py").write_text("NUMBER = 7\nBY_NAME = {'lib::op': print}\n")
    with pytest.raises(SourceError, match=match):
        trace_arguments(TraceOptions(custom_translation=source))


def test_torchscript_uses_no_table(tmp_path: Path) -> None:
    """It would be ignored, so it is refused."""
    table = {torch.ops.aten.relu.default: torch.relu}
    with pytest.raises(UsageError, match="dynamo"):
        trace(
            *(nn.ReLU(), torch.ones(2), tmp_path / "m.onnx"),
            exporter="torchscript",
            custom_translation=table,
        )


def _raises(*_: Any, **__: Any) -> Any:
    raise KeyError("nothing that we expect")


def _with_foreign_input(exporter: str) -> Callable[..., ExportedGraph]:
    def export(*arguments: Any) -> ExportedGraph:
        exported = EXPORTERS[exporter](*arguments)
        exported.model.graph.input.add(name="its_own")
        return exported

    return export


def _unreadable(*arguments: Any) -> ExportedGraph:
    exported = EXPORTERS[Exporter.TORCHSCRIPT](*arguments)
    exported.model.graph.node[0].op_type = "NoSuchOperator"
    return exported


FAULTS: dict[str, Callable[..., Any]] = {
    "the exporter breaks": _raises,
    "an input of its own": _with_foreign_input(Exporter.TORCHSCRIPT),
    "a file that does not run": _unreadable,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_record_is_eager_where_exporters_or_their_files_fail(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason; the model is as it was."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    monkeypatch.setattr(selection, "EXPORTERS", dict.fromkeys(EXPORTERS, FAULTS[fault]))
    result = record(model, torch.randn(2, 4), tmp_path / "r.json")
    assert result.record.source.exporter == RecordExporter.EAGER
    assert {op.module for op in result.record.ops} == {"0", "1"}
    (note,) = result.notes
    assert note.startswith("eager: ")
    assert len(note) > len("eager: x")


@pytest.mark.parametrize(
    "step", ["probe_export", "initializer_fingerprints", "build_exported_record"]
)
def test_the_record_is_eager_where_our_own_reading_fails(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter that was asked for by name hides nothing."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    monkeypatch.setattr(recording, step, _raises)
    result = record(model, torch.randn(2, 4), tmp_path / "r.json")
    assert result.record.source.exporter == RecordExporter.EAGER
    assert "nothing that we expect" in result.notes[0]
    with pytest.raises(KeyError):
        record(model, torch.randn(2, 4), tmp_path / "s.json", exporter=Exporter.TORCHSCRIPT)


def test_the_next_exporter_is_tried_where_a_file_is_not_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph with an input of its own is no success."""
    exporters = {
        Exporter.DYNAMO: _with_foreign_input(Exporter.TORCHSCRIPT),
        Exporter.TORCHSCRIPT: EXPORTERS[Exporter.TORCHSCRIPT],
    }
    monkeypatch.setattr(selection, "EXPORTERS", exporters)
    traced = trace(nn.Linear(4, 4), torch.randn(2, 4), tmp_path / "m.onnx")
    assert traced.record.source.exporter == Exporter.TORCHSCRIPT
    assert any("its_own" in note for note in traced.notes)


class Sparse(nn.Module):
    """Holds a sparse matrix, which exporters put into files that nobody can read."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.eye(4).to_sparse())
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner((self.matrix @ x.T).T)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_sparse_weights_are_refused_or_recorded_eagerly(exporter: str, tmp_path: Path) -> None:
    """With a sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ExportFailedError, match=f"{exporter}.*--record-only"):
            trace(Sparse().eval(), torch.randn(2, 4), tmp_path / "m.onnx", exporter=exporter)
        result = record(Sparse().eval(), torch.randn(2, 4), tmp_path / "r.json")
    assert result.record.source.exporter == RecordExporter.EAGER


def test_a_file_that_onnxruntime_cannot_load_is_not_the_first_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`auto` takes the next exporter and says why; without another one it keeps the file."""
    model, inputs = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.randn(2, 4)
    export = EXPORTERS[Exporter.TORCHSCRIPT]
    first, second = EXPORTERS
    monkeypatch.setattr(selection, "EXPORTERS", {first: _unreadable, second: export})
    result = trace(model, inputs, tmp_path / "m.onnx")
    assert "NoSuchOperator" not in {n.op_type for n in onnx.load(tmp_path / "m.onnx").graph.node}
    assert any(first in note and "cannot load" in note for note in result.notes)
    monkeypatch.setattr(selection, "EXPORTERS", dict.fromkeys(EXPORTERS, _unreadable))
    kept = trace(model, inputs, tmp_path / "n.onnx")
    assert any("no other exporter" in note for note in kept.notes)


def test_the_exporter_of_earlier_releases_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same work under another name."""

    class Earlier:
        def export(self, *arguments: Any) -> Any:
            calls.append(arguments)
            return OnnxExporter().export_program(*arguments)

    calls: list[Any] = []
    monkeypatch.setattr(exporter_onnx, "OnnxExporter", Earlier)
    model, inputs = FIXTURES["bert"].build()
    traced = trace(model, inputs, tmp_path / "m.onnx", exporter=Exporter.DYNAMO)
    assert len(calls) == 1
    paths = {path for path, _ in model.named_modules()}
    assert {op.module for op in traced.record.ops if op.module is not None} <= paths
    assert {op.module for op in traced.record.ops} - {None, ""}
