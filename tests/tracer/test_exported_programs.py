"""Exported programs (`.pt2`): their modules come back, and are recorded and exported."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fixtures_gen.registry import randomized
from fixtures_gen.torch_zoo import WIDTH, Recurring, Stage
from fixtures_gen.truth import truth
from modelexport.errors import SourceError
from modelexport.hierarchy.record import read_record
from modelexport.rewriter import annotate
from modelexport.tracer import load, record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.commands import Run
from tests.helpers.judged import contradicted

Program = tuple[nn.Module, dict[str, torch.Tensor], Path]


class Scaled(nn.Module):
    """A module that is called again, a keyword, and two named outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last = Recurring(), Stage()

    def forward(self, x: torch.Tensor, *, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        inner = self.body(x) * scale
        return {"inner": inner, "result": self.last(inner)}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A model, its inputs, and its file."""
    path = tmp_path_factory.mktemp("programs") / "m.pt2"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = randomized(Scaled()).eval()
        inputs = {"x": torch.randn(4, WIDTH), "scale": torch.rand(4, WIDTH)}
    program = torch.export.export(model, (inputs["x"],), {"scale": inputs["scale"]})
    torch.export.save(program, path)
    return model, inputs, path


def test_modules_classes_and_values_come_back(exported: Program, tmp_path: Path) -> None:
    """The tree, the parameters, the outputs and the modules of an eager record are the model's."""
    model, inputs, path = exported
    loaded = load(str(path), trust_remote_code=True)
    assert {
        (name, type(module).__name__, type(module).__module__)
        for name, module in loaded.model.named_modules()
    } == {(n, type(m).__name__, type(m).__module__) for n, m in model.named_modules()}
    assert dict(loaded.model.named_parameters()).keys() == dict(model.named_parameters()).keys()
    torch.testing.assert_close(dict(loaded.inputs), inputs, rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(**loaded.inputs), model(**inputs))
    modules = [
        {op.module for op in record(*run, exporter="eager").record.ops}
        for run in (
            (loaded.model, loaded.inputs, tmp_path / "program.json"),
            (model, inputs, tmp_path / "model.json"),
        )
    ]
    assert modules[0] == modules[1]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_program_is_exported(exported: Program, exporter: str, tmp_path: Path) -> None:
    """Every tag is what an eager run of the original model shows."""
    model, inputs, path = exported
    loaded = load(str(path), trust_remote_code=True)
    traced = trace(loaded.model, loaded.inputs, tmp_path / "m.onnx", exporter=exporter)
    report = annotate(traced.onnx_path, traced.record, None)
    true = truth(model, inputs, traced.onnx_path)
    assert true.modules
    assert contradicted(true, report, traced.record.tree) == []


def test_a_program_must_be_trusted(exported: Program, run: Run, tmp_path: Path) -> None:
    """Loading one may run code: the command asks for the option. With it, a record is written."""
    model, _, path = exported
    target = tmp_path / "m.trace.json"
    command = ("trace", path, "--record-only", target, "--exporter", "eager")
    refused = run(*command)
    assert refused.code == 2
    assert "--trust-remote-code" in refused.err
    assert not target.exists()
    done = run(*command, "--trust-remote-code")
    assert done.code == 0, done.err
    written = read_record(target)
    assert {m.path for m in written.modules} == {name for name, _ in model.named_modules()}
    assert written.source.name == path.name


def test_other_files_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The sentence names the file, and nothing else is written."""
    (tmp_path / "text.pt2").write_text("no archive")
    with pytest.raises(SourceError, match=r"text\.pt2: not an exported program"):
        load(str(tmp_path / "text.pt2"), trust_remote_code=True)
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("data.pkl", b"other")
    with pytest.raises(SourceError, match=r"other\.pt2: torch cannot load it .*archive"):
        load(str(tmp_path / "other.pt2"), trust_remote_code=True)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["missing.pt", "missing.pt2"])
def test_a_missing_file_is_no_id_of_the_hub(run: Run, tmp_path: Path, name: str) -> None:
    """The sentence says that there is no such file, by its name alone, too."""
    for source in (tmp_path / name, name):
        ran = run("trace", source, tmp_path / "m.onnx", "--trust-remote-code")
        assert (ran.code, ran.err) == (2, f"modelexport: {source}: there is no such file.\n")
