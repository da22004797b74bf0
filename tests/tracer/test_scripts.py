"""TorchScript models: interpreted, they are recorded and exported by module like all others."""

import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from fixtures_gen.layer_zoo import Block, Hourglass, Recurrent, Stacked
from fixtures_gen.registry import randomized
from fixtures_gen.torch_zoo import WIDTH, Recurring, Stage, Tied
from fixtures_gen.truth import truth
from modelexport.errors import ExportFailedError, InputsError, SourceError
from modelexport.hierarchy.export_config import InputRequest, InputSpec
from modelexport.hierarchy.record import read_record
from modelexport.rewriter import annotate
from modelexport.tracer import load, record, trace
from modelexport.tracer.exporters.selection import EXPORTERS
from modelexport.tracer.sources.scripts import interpret
from tests.helpers.commands import Run
from tests.helpers.judged import contradicted

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

PICTURE, ROWS = (2, 3, 16, 16), (4, WIDTH)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...] | None]] = {
    "called again": (Recurring, ROWS),
    "blocks": (lambda: nn.Sequential(Block(3, 8), Block(8, 8)), PICTURE),
    "recurrent": (Recurrent, (2, 5, WIDTH)),
    "skips": (Hourglass, PICTURE),
    "recurrent stack": (Stacked, None),
    "tied": (Tied, None),
}
EXPORTED = {"called again", "blocks", "recurrent", "tied"}
"""The smaller ones; the others differ in what runs, not in how it is exported."""

NOT_SCRIPTABLE = {"skips": "it has loops over lists of modules", "recurrent stack": "likewise"}
KINDS = {
    "script": lambda model, _: torch.jit.script(model),
    "trace": torch.jit.trace,
}
CASES = [(m, k) for m in MODELS for k in KINDS if k == "trace" or m not in NOT_SCRIPTABLE]
every_case = pytest.mark.parametrize(("name", "kind"), CASES)


def build(name: str, kind: str, path: Path) -> tuple[nn.Module, torch.Tensor, nn.Module]:
    """A model, its input, and the model as a script that was saved and loaded."""
    factory, shape = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = randomized(factory()).eval()
        x = torch.randn(shape) if shape else torch.randperm(24)[:18].reshape(2, 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and warns about what it fixes
        torch.jit.save(KINDS[kind](model, x), path)
        return model, x, torch.jit.load(path)


@every_case
def test_a_script_computes_what_it_did(name: str, kind: str, tmp_path: Path) -> None:
    """The tree is that of the model, with its classes; outputs are equal bit for bit."""
    model, x, script = build(name, kind, tmp_path / "m.pt")
    plain = interpret(script)
    assert [
        (path, type(module).__name__, type(module).__module__)
        for path, module in plain.named_modules()
    ] == [
        (path, type(module).__name__, type(module).__module__)
        for path, module in model.named_modules()
    ]
    assert dict(plain.named_parameters()).keys() == dict(model.named_parameters()).keys()
    with torch.no_grad():
        assert torch.equal(plain(x), script(x))


@every_case
def test_an_eager_record_has_the_modules(name: str, kind: str, tmp_path: Path) -> None:
    """Each module computes what it does in the model that was compiled."""
    model, x, script = build(name, kind, tmp_path / "m.pt")
    of_script = record(script, (x,), tmp_path / "script.json", exporter="eager").record
    of_model = record(model, (x,), tmp_path / "model.json", exporter="eager").record
    modules = {op.module for op in of_script.ops}
    assert None not in modules
    assert modules == {op.module for op in of_model.ops}
    assert [m.calls for m in of_script.modules] == [m.calls for m in of_model.modules]


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case[0] in EXPORTED])
def test_a_script_is_exported(name: str, kind: str, exporter: str, tmp_path: Path) -> None:
    """Every tag is what an eager run of the model that was compiled shows."""
    model, x, script = build(name, kind, tmp_path / "m.pt")
    traced = trace(script, (x,), tmp_path / "m.onnx", exporter=exporter)
    report = annotate(traced.onnx_path, traced.record, None)
    true = truth(model, (x,), traced.onnx_path)
    assert true.modules
    assert contradicted(true, report, traced.record.tree) == []


class Branching(nn.Module):
    """A branch on what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.warm, self.cold = Stage(), Stage()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.mean() > 0):
            return self.warm(x)  # type: ignore[no-any-return]
        for _ in range(int(x.abs().max()) + 1):
            x = self.cold(x)
        return x


@pytest.mark.parametrize("sign", [1, -1])
def test_a_branch_that_depends_on_inputs(sign: int, tmp_path: Path) -> None:
    """No exporter may fix the branch that the example takes; an eager record has that one."""
    script = torch.jit.script(Branching().eval())
    x = sign * (torch.rand(ROWS) + 0.5)
    for exporter in EXPORTERS:
        with pytest.raises(ExportFailedError):
            trace(script, (x,), tmp_path / "m.onnx", exporter=exporter)
    made = record(script, (x,), tmp_path / "m.json").record
    branch = "warm" if sign > 0 else "cold"
    assert {op.module for op in made.ops} >= {branch, f"{branch}.affine"}
    with torch.no_grad():
        assert torch.equal(interpret(script)(x), script(x))


def test_a_file_is_a_source(run: Run, tmp_path: Path) -> None:
    """`modelexport trace model.pt` with the shapes of the inputs."""
    model, x, _ = build("called again", "trace", tmp_path / "m.pt")
    shape = "x=" + "x".join(map(str, x.shape))
    done = run("trace", tmp_path / "m.pt", tmp_path / "m.onnx", "--input-shape", shape)
    assert done.code == 0, done.err
    made = read_record(tmp_path / "m.trace.json")
    assert {m.path for m in made.modules} == {path for path, _ in model.named_modules()}
    assert made.source.name == "m.pt"


class Formatting(nn.Module):
    """Its error shows a text with braces."""

    def forward(self, x: torch.Tensor, n: int = 3) -> torch.Tensor:
        """Fail."""
        text = "{0.__class__} {}".format(n)  # noqa: F525 - torch knows no numbers in braces
        if n > 0:
            raise ValueError(text)
        return x


def test_a_script_reads_no_attributes(tmp_path: Path) -> None:
    """Texts are filled as torch fills them: nothing of a value is read."""
    torch.jit.save(torch.jit.script(Formatting()), tmp_path / "f.pt")
    with pytest.raises(torch.jit.Error) as by_torch:
        torch.jit.load(tmp_path / "f.pt")(torch.ones(1))
    with pytest.raises(RuntimeError) as by_us:
        interpret(torch.jit.load(tmp_path / "f.pt"))(torch.ones(1))
    assert str(by_us.value) == "{0.__class__} 3"
    assert str(by_us.value) in str(by_torch.value)


def test_tensors_without_all_their_bytes_are_refused(tmp_path: Path) -> None:
    """Torch would read what lies behind them in memory."""
    torch.jit.save(torch.jit.script(Stage()), tmp_path / "whole.pt")
    assert load(str(tmp_path / "whole.pt"), request=InputRequest(inputs={"x": InputSpec((4, 8))}))
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "short.pt", "w") as short,
    ):
        names = [name for name in whole.namelist() if "/data/" in name]
        for name in whole.namelist():
            data = whole.read(name)
            short.writestr(name, data[:-1] if name == names[-1] else data)
    with pytest.raises(SourceError, match=rf"{names[-1]} is shorter than the tensor"):
        load(str(tmp_path / "short.pt"))


def test_a_pickle_that_names_functions_runs_none(tmp_path: Path) -> None:
    """Neither our look at the pickles of an archive nor torch's reader calls what they name."""
    torch.jit.save(torch.jit.script(Stage()), tmp_path / "whole.pt")
    ran = tmp_path / "ran"
    call = b"cposix\nmkdir\n(V" + str(ran).encode() + b"\ntR."
    pickle.loads(call)  # noqa: S301 - it does what it says
    assert ran.is_dir()
    ran.rmdir()
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "hostile.pt", "w") as hostile,
    ):
        for name in whole.namelist():
            hostile.writestr(name, call if name.endswith("/data.pkl") else whole.read(name))
    with pytest.raises(SourceError, match=r"hostile\.pt: torch cannot load it"):
        load(str(tmp_path / "hostile.pt"))
    assert not ran.exists()


def test_files_that_are_no_scripts(tmp_path: Path) -> None:
    """Weights alone hold no code; the sentence says what to do."""
    torch.save(Stage().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no archive")
    for name in ("weights.pt", "text.pt"):
        with pytest.raises(SourceError, match=r"not a TorchScript file.*factory"):
            load(str(tmp_path / name))


def test_a_script_without_inputs_says_what_it_takes(tmp_path: Path) -> None:
    """Its parameters have no shapes, so these must be given."""
    build("blocks", "script", tmp_path / "m.pt")
    with pytest.raises(InputsError, match="--input-shape"):
        load(str(tmp_path / "m.pt"))
    request = InputRequest(inputs={"input": InputSpec(shape=PICTURE)})
    loaded = load(str(tmp_path / "m.pt"), request=request)
    assert loaded.inputs["input"].shape == PICTURE


def test_an_archive_with_damaged_names(run: Run, tmp_path: Path) -> None:
    """Python reads the names of an archive's files before torch does."""
    file = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(nn.Linear(2, 2)).save(file)
    data = file.read_bytes()
    directory = data.index(b"PK\x01\x02")
    file.write_bytes(data[:directory] + data[directory:].replace(b"/code/", b"/\xff\xffde/"))
    code, _, err = run("trace", file, tmp_path / "new.onnx", "--input-shape", "input=2x2")
    assert code == 2
    assert err.count("\n") == 1
    assert f"{file}: torch cannot load it" in err
