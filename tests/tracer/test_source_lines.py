"""The record's source lines; each is computed from the source of the model's own functions."""

import inspect
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from modelexport import annotate, record, strip, trace
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.record import Record, read_record
from modelexport.hierarchy.source_lines import node_lines, split_line
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.tracer.exporters.source_lines import line_of_model


class Inner(nn.Module):
    """Computes by operators of torch and by one of its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        projected = self.linear(x)
        rectified = functional.relu(projected)
        total = projected + rectified
        return self.norm(total)


class Outer(nn.Module):
    """Calls a module, and computes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        inside = self.inner(x)
        return torch.tanh(inside)


def line_of(function, code: str) -> str:
    """`file:line` of the one line of a function that holds some code."""
    lines, first = inspect.getsourcelines(function)
    (number,) = (n for n, line in enumerate(lines, first) if code in line)
    return f"{Path(inspect.getsourcefile(function)).name}:{number}"


EXPECTED = {
    "inner.linear": {line_of(Inner.forward, "self.linear(x)")},
    "inner": {
        line_of(Inner.forward, "functional.relu"),
        line_of(Inner.forward, "projected + rectified"),
    },
    "inner.norm": {line_of(Inner.forward, "self.norm(")},
    "": {line_of(Outer.forward, "torch.tanh")},
}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> dict[str, Record]:
    folder = tmp_path_factory.mktemp("lines")
    model, inputs = Outer().eval(), (torch.rand(2, 3, 4),)
    actual = {}
    for exporter in (Exporter.TORCHSCRIPT, Exporter.DYNAMO):
        path = folder / f"{exporter}.onnx"
        trace(model, inputs, path, exporter=exporter)
        actual[exporter] = (path, read_record(path.with_suffix(".trace.json")))
    path = folder / "eager.trace.json"
    record(model, inputs, path, exporter="eager")
    actual["eager"] = (None, read_record(path))
    return actual


def lines_by_module(content: Record) -> dict[str, set[str]]:
    lines: dict[str, set[str]] = {}
    assert content.ops
    for op in content.ops:
        if op.module is not None and op.source is not None:
            file, number = split_line(op.source)
            assert not Path(file).is_absolute()
            lines.setdefault(op.module, set()).add(f"{Path(file).name}:{number}")
    return lines


@pytest.mark.parametrize("how", ["torchscript", "dynamo", "eager"])
def test_an_op_has_the_innermost_line_outside_of_torch(records, how: str) -> None:
    """Ops of torch's own modules have the line that calls the module."""
    assert lines_by_module(records[how][1]) == EXPECTED


def test_an_eager_op_of_torch_modules_alone_has_the_line_in_torch(tmp_path: Path) -> None:
    """Where no code of the model's own runs, the innermost line of torch is the nearest."""
    path = tmp_path / "net.trace.json"
    record(nn.Sequential(nn.Linear(4, 4)), (torch.rand(2, 3, 4),), path, exporter="eager")
    expected = line_of(nn.Linear.forward, "F.linear(")
    assert lines_by_module(read_record(path)) == {"0": {expected}}


@pytest.mark.parametrize("how", ["torchscript", "dynamo"])
def test_annotated_nodes_have_the_lines_and_strip_restores_the_bytes(
    records, how: str, tmp_path: Path
) -> None:
    """`hierarchy.source` is the recorded line of each node; without the option there is none."""
    plain, content = records[how]
    annotated, back, without = (tmp_path / f"{name}.onnx" for name in ("a", "b", "c"))
    annotate(plain, content, annotated, source_lines=True)
    annotate(plain, content, without)
    entries = [{e.key: e.value for e in n.metadata_props} for n in onnx.load(annotated).graph.node]
    recorded = [op for op in content.ops if op.graph == ""]
    expected = [() if op.source is None else (op.source,) for op in recorded]
    assert [node_lines(entry) for entry in entries] == expected
    assert any(expected)
    assert keys.SOURCE.encode() not in without.read_bytes()
    strip(annotated, back)
    assert back.read_bytes() == plain.read_bytes()


def test_a_fused_node_has_the_lines_of_all_its_ops_and_heirs_inherit_them(
    records, tmp_path: Path
) -> None:
    """An optimiser fuses ops; what descends from the annotated file has the same lines."""
    plain, content = records["torchscript"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    onnxruntime.InferenceSession(str(plain), options, providers=["CPUExecutionProvider"])
    report = annotate(
        tmp_path / "fused.onnx", content, tmp_path / "annotated.onnx", source_lines=True
    )
    by_name = {op.name: op.source for op in content.ops}
    several = 0
    assert report.decisions
    for decision in report.decisions:
        lines = [by_name[name] for name in decision.origins if by_name[name] is not None]
        assert decision.source_lines == tuple(dict.fromkeys(lines))
        several += len(set(lines)) > 1
    assert several >= 1
    heir = annotate(
        tmp_path / "fused.onnx",
        None,
        tmp_path / "heir.onnx",
        inherit_from=tmp_path / "annotated.onnx",
        source_lines=True,
    )
    assert [d.source_lines for d in heir.decisions] == [d.source_lines for d in report.decisions]
    with PlacedFile.open(tmp_path / "fused.onnx", record=content) as placed:
        assert placed.source_lines == [d.source_lines for d in report.decisions]
    with PlacedFile.open(tmp_path / "annotated.onnx") as placed:
        assert placed.source_lines == [d.source_lines for d in report.decisions]
    carried = annotate(tmp_path / "annotated.onnx", None, None)
    assert [d.source_lines for d in carried.decisions] == [d.source_lines for d in report.decisions]


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("C:\\Users\\me\\models\\net.py", "net.py"),
        ("\\\\server\\share\\net.py", "net.py"),
        ("FOLDER/models/net.py", "net.py"),
        ("../../models/net.py", "net.py"),
        ("/run/ipykernel_1/22.py", "22.py"),
    ],
)
def test_a_path_of_the_machine_is_never_shown(tmp_path: Path, file: str, shown: str) -> None:
    """A file that Python imports from nowhere has its bare name, also with a path of Windows."""
    assert line_of_model([(file.replace("FOLDER", str(tmp_path)), 3)]) == f"{shown}:3"


def test_files_are_named_below_what_they_are_imported_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder, or an archive; else the folder around the package, as tools install for editing."""
    (tmp_path / "package" / "inner").mkdir(parents=True)
    for folder in ("package", "package/inner"):
        (tmp_path / folder / "__init__.py").touch()
    file = str(tmp_path / "package" / "inner" / "net.py")
    assert line_of_model([(file, 1)]) == "package/inner/net.py:1"
    archive = tmp_path / "models.zip"
    monkeypatch.syspath_prepend(archive)
    assert line_of_model([(str(archive / "zipped" / "net.py"), 2)]) == "zipped/net.py:2"
