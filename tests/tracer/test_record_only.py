"""Records of models whose ONNX file exists already, and files matched with them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from agreement.judging import Verdict, judge
from fixtures_gen.zoo import FIXTURES
from modelexport.errors import ExportFailedError, InputsError, UsageError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.record import Op, Record, read_record
from modelexport.rewriter import annotate
from modelexport.tracer import record, trace
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.commands import Run
from tests.helpers.descendants import ZooModel
from tests.helpers.traced import TracedModels

EAGER = RecordExporter.EAGER
CASES = [
    pytest.param((name, exporter), id=f"{name}-{exporter}")
    for name, fixture in FIXTURES.items()
    # the fastest exporter that takes it
    for exporter in [e for e in (Exporter.TORCHSCRIPT, *EXPORTERS) if e not in fixture.refused_by][
        :1
    ]
]


@pytest.fixture(scope="module")
def zoo_model(
    request: pytest.FixtureRequest,
    traced: TracedModels,
    tmp_path_factory: pytest.TempPathFactory,
) -> ZooModel:
    """The model of this case, traced."""
    name, exporter = request.param
    folder = tmp_path_factory.mktemp(f"{name}-{exporter}")
    return ZooModel(name, traced(name, exporter), folder)


@pytest.mark.parametrize("tool", ["renamed", "onnxruntime-extended"])
@pytest.mark.parametrize("zoo_model", CASES, indirect=True, scope="module")
def test_files_are_matched_with_an_eager_record(zoo_model: ZooModel, tool: str) -> None:
    """A file without one known name gets right tags from a record that no exporter made.

    No tag is wrong; in the main graph every node that values settle is right. Subgraphs of If and
    Loop have no values of their own to be seen, so there a node may be unresolved.
    """
    path, truth = zoo_model.rewritten(tool)
    made = record(
        zoo_model.model,
        zoo_model.inputs,
        zoo_model.folder / "e.json",
        exporter=EAGER,
        force=True,
    ).record
    report = annotate(path, made, None)
    verdicts = {
        decision.key: judge(true, decision.module, decision.covers, made.tree)
        for decision in report.decisions
        if (true := truth.modules.get(decision.key)) is not None
    }
    assert [key for key, verdict in verdicts.items() if verdict is Verdict.WRONG] == []
    right = {Verdict.EXACT, Verdict.IN_COVERS}
    assert [k for k, v in verdicts.items() if not k.graph and v not in right] == []
    assert verdicts


class Writes(nn.Module):
    """Writes through a view, and in place."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = x + 1
        row = whole[0]
        row.mul_(2)
        doubled = whole.exp()
        whole.neg_()
        return doubled - row.sum()


def eager(model: nn.Module, inputs: Any, folder: Path) -> Record:
    return record(model, inputs, folder / "r.json", exporter=EAGER, force=True).record


def reads(ops: list[Op], op: Op) -> set[str]:
    """Names of the ops that an op reads directly."""
    return {other.op_type for other in ops if set(other.outputs) & set(op.inputs)}


def test_what_is_written_through_a_view_is_followed(tmp_path: Path) -> None:
    """Who reads a tensor after a view of it was written to reads what was written."""
    ops = list(eager(Writes(), (torch.randn(3, 5),), tmp_path).ops)
    by_type = {op.op_type: op for op in ops}
    assert "aten::mul_" in reads(ops, by_type["aten::exp"])
    assert "aten::neg_" in reads(ops, by_type["aten::sum"])
    assert "aten::neg_" not in reads(ops, by_type["aten::exp"])


def test_values_are_those_after_the_write(tmp_path: Path) -> None:
    """The fingerprint of an operator in place is of what the tensor holds afterwards."""
    x = torch.randn(3, 5)
    ops = eager(Writes(), (x,), tmp_path).ops
    written = next(op for op in ops if op.op_type == "aten::neg_")
    expected = (x + 1).clone()
    expected[0] *= 2
    assert value_fingerprint(to_numpy(-expected)) in written.values


def test_ops_name_modules_weights_and_inputs(tmp_path: Path) -> None:
    """Every op has its module, and reads inputs and parameters by their own names."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    made = eager(model, (torch.randn(2, 4),), tmp_path)
    parameters = {name for name, _ in model.named_parameters()}
    assert parameters
    assert {t.name: t.parameter for t in made.tensors} == {name: name for name in parameters}
    assert parameters < {name for op in made.ops for name in op.inputs}
    assert {p.name for p in made.probe.inputs} < {name for op in made.ops for name in op.inputs}
    assert {op.module for op in made.ops} == {"0", "1"}
    assert [op.index for op in made.ops] == list(range(len(made.ops)))
    assert made.digest == ""


def test_composite_operators_are_recorded_in_their_parts(tmp_path: Path) -> None:
    """What an exporter may expose has a fingerprint; readers read the last part's result."""
    model = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4))
    x = torch.randn(3, 4)
    ops = list(eager(model, (x,), tmp_path).ops)
    inner = torch.erf(model[0](x).detach() / 2**0.5)
    expected = value_fingerprint(to_numpy(inner))
    assert expected is not None
    near = [
        known
        for op in ops
        if op.module == "1"
        for known in op.values
        if known is not None and np.allclose(known.statistics(), expected.statistics(), atol=1e-6)
    ]
    assert near
    made_by = {name: op for op in ops for name in op.outputs}
    after = next(op for op in ops if op.module == "2" and "2.weight" not in op.inputs)
    assert {made_by[name].module for name in after.inputs if name in made_by} & {"1", "2"}
    assert {name for op in ops for name in op.inputs if name.startswith("%")} <= set(made_by)


def test_parameters_that_nobody_reads_are_absent(tmp_path: Path) -> None:
    """What the run did not touch is recorded apart."""
    model = nn.Sequential(nn.Linear(4, 4))
    model.register_buffer("unread", torch.arange(9.0))
    made = eager(model, (torch.randn(2, 4),), tmp_path)
    assert [tensor.name for tensor in made.absent] == ["unread"]


def test_without_a_probe_there_are_no_fingerprints(tmp_path: Path) -> None:
    """`probe=False` leaves values out and says so."""
    made = record(
        nn.Linear(4, 4),
        torch.randn(2, 4),
        tmp_path / "r.json",
        exporter=EAGER,
        probe=False,
    ).record
    assert made.probe.missing is not None
    assert not any(op.values for op in made.ops)


class Fails(nn.Module):
    """Changes a buffer, then fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("seen", torch.zeros(1))
        self.fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        if self.fail:
            raise ValueError("told to")
        return self.norm(x)


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("exporter", [EAGER, "auto"])
def test_the_model_is_left_as_it_was(tmp_path: Path, exporter: str, *, fail: bool) -> None:
    """Buffers, modes and hooks are what they were, also when the forward raised."""
    model = Fails().train()
    model.fail = fail
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if fail:
        with pytest.raises(InputsError, match="told to"):
            record(model, torch.randn(2, 4), tmp_path / "r.json", exporter=exporter)
        assert list(tmp_path.iterdir()) == []
    else:
        record(model, torch.randn(2, 4), tmp_path / "r.json", exporter=exporter)
    after = model.state_dict()
    assert before
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        np.testing.assert_array_equal(tensor.numpy(), before[name].numpy())
    assert {module.training for module in model.modules()} == {True}
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]


class Inexpressible(nn.Module):
    """Something that ONNX has no operator for, and no exporter a recipe."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(self.inner(x))


def test_where_no_exporter_works_the_record_is_eager(tmp_path: Path) -> None:
    """`auto` falls back and says why; an exporter that was asked for by name is refused."""
    model, inputs = Inexpressible(), torch.randn(2, 4)
    for name in EXPORTERS:
        with pytest.raises(ExportFailedError, match=name):
            record(model, inputs, tmp_path / "n.json", exporter=name)
    result = record(model, inputs, tmp_path / "r.json")
    assert result.record.source.exporter == EAGER
    assert all(any(name in note for note in result.notes) for name in EXPORTERS)
    assert {"", "inner"} == {op.module for op in result.record.ops}
    assert read_record(tmp_path / "r.json").ops == result.record.ops


def test_where_an_exporter_works_its_graph_is_recorded(tmp_path: Path) -> None:
    """The record is the one that tracing writes, and the only file."""
    model, inputs = FIXTURES["called_twice"].build()
    result = record(model, inputs, tmp_path / "r.json")
    traced = trace(model, inputs, tmp_path / "m.onnx")
    assert result.record.digest == traced.record.digest
    assert result.record.ops == traced.record.ops
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"r.json", "m.onnx", traced.record_path.name}


def test_tracing_refuses_the_eager_record(tmp_path: Path) -> None:
    """There would be no file to write."""
    with pytest.raises(UsageError, match="--record-only"):
        trace(nn.Linear(4, 4), torch.randn(2, 4), tmp_path / "m.onnx", exporter=EAGER)


SOURCE = "fixtures_gen.zoo:called_twice"


def test_the_command_writes_a_record_alone(run: Run, working_folder: Path) -> None:
    """`trace SOURCE --record-only R` writes R and nothing else; with it a file is annotated."""
    code, out, err = run("trace", SOURCE, "--record-only", "r.json", "--exporter", "eager")
    assert (code, err) == (0, "")
    assert "r.json" in out
    assert [path.name for path in working_folder.iterdir()] == ["r.json"]
    model, inputs = FIXTURES["called_twice"].build()
    trace(model, inputs, "m.onnx", exporter=Exporter.TORCHSCRIPT)
    assert run("annotate", "m.onnx", "--record", "r.json", "-o", "a.onnx")[0] == 0
    assert len(onnx.load("a.onnx").metadata_props)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["m.onnx", "--exporter", "eager"], "--record-only"),
        (["m.onnx", "--record-only", "r.json"], "OUT.onnx"),
        (["--record-only", "r.json", "--record", "s.json"], "--record"),
        ([], "OUT.onnx"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    run: Run,
    working_folder: Path,
    arguments: list[str],
    named: str,
) -> None:
    """Exit code 2, one sentence that names the option, and no file."""
    code, out, err = run("trace", SOURCE, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert list(working_folder.iterdir()) == []


@pytest.mark.usefixtures("working_folder")
def test_an_existing_record_is_not_overwritten(run: Run) -> None:
    """As every output: only with --force."""
    Path("r.json").write_text("mine")
    assert run("trace", SOURCE, "--record-only", "r.json")[0] == 2
    assert Path("r.json").read_text() == "mine"
    assert run("trace", SOURCE, "--record-only", "r.json", "--force")[0] == 0
