"""Modules that an exporter gets wrong: an eager run overrules it, and only there."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from modelexport.hierarchy.choices import Exporter, RecordExporter, ScopeOrigin
from modelexport.hierarchy.record import Op, Record
from modelexport.tracer import record, trace
from modelexport.tracer.exporters.selection import EXPORTERS

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*:DeprecationWarning")  # torch's own

WIDTH = 8
WRAPPED = "_orig_mod"
"""What `torch.compile` puts between a module and its parent."""


class Busy(nn.Module):
    """Decomposed operators, views at both ends, an operator in place, and a small value."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.scale = nn.Parameter(torch.tensor(1.7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        h = self.query(x).view(batch, length, 2, WIDTH // 2).transpose(1, 2)
        y = functional.gelu(torch.softmax(h @ h.transpose(-1, -2) / 2, -1) @ h) * self.scale
        y = torch.relu_(y.clone() + 0.1)
        y = functional.layer_norm(y - y.mean((1, 2, 3), keepdim=True), (WIDTH // 2,))
        return y.transpose(1, 2).reshape(batch, length, WIDTH)


class Plain(nn.Module):
    """Views of its own around two busy modules, and a module without modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Busy(), Busy()
        self.last = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second(self.first(x).transpose(0, 1).contiguous())
        return self.last(torch.sigmoid(y).transpose(0, 1) + 0.3)


class PastCall(Plain):
    """Calls forward itself, past the hooks of a module."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.second.forward(self.first(x).transpose(0, 1).contiguous())
        return self.last(torch.sigmoid(y).transpose(0, 1) + 0.3)


class Twice(Plain):
    """Calls one module twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(self.first(x).transpose(0, 1).contiguous())
        return self.last(torch.sigmoid(y).transpose(0, 1) + 0.3)


def _build(kind: type[Plain] = Plain) -> Plain:
    torch.manual_seed(16)
    model = kind().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model


def _compiled() -> nn.Module:
    model = _build()
    model.second = torch.compile(model.second)  # type: ignore[assignment]
    return model


def _compiled_in_place() -> nn.Module:
    model = _build()
    model.second.compile()
    return model


def _compiled_root() -> nn.Module:
    return torch.compile(_build())  # type: ignore[return-value]


def _rewritten_by_fx() -> nn.Module:
    model = _build()

    class Tracer(torch.fx.Tracer):
        def is_leaf_module(self, m: nn.Module, _: str) -> bool:
            return isinstance(m, nn.Linear)

    model.second = torch.fx.GraphModule(model.second, Tracer().trace(model.second))  # type: ignore[assignment]
    return model


def _replaced(forward: Callable[..., Any]) -> nn.Module:
    model = _build()
    model.second.forward = forward(model.second.forward)
    return model


def _unwrapped(forward: Callable[..., Any]) -> Callable[..., Any]:
    def other(x: torch.Tensor) -> Any:
        return forward(x)

    return other


def _decorated(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def other(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return other


CASES: dict[str, Callable[[], nn.Module]] = {
    "compiled": _compiled,
    "compiled in place": _compiled_in_place,
    "compiled root": _compiled_root,
    "rewritten by fx": _rewritten_by_fx,
    "forward replaced": lambda: _replaced(_unwrapped),
    "forward decorated": lambda: _replaced(_decorated),
    "forward compiled": lambda: _replaced(torch.compile),
}
PLAIN = "plain"
COMPILED = {name for name in CASES if "compiled" in name}
OVERRULED = ["compiled", "compiled root", "rewritten by fx"]


def _inputs() -> torch.Tensor:
    return torch.randn(3, 5, WIDTH, generator=torch.Generator().manual_seed(5))


def _places(ops: tuple[Op, ...]) -> list[tuple[str, str | None, int]]:
    """Operator, module and call of each op, without what `torch.compile` puts between."""
    return [
        (
            op.op_type,
            None
            if op.module is None
            else ".".join(step for step in op.module.split(".") if step != WRAPPED),
            op.call,
        )
        for op in ops
    ]


def _trace(model: nn.Module, exporter: str, folder: Path) -> Record:
    return trace(model, _inputs(), folder / "m.onnx", exporter=exporter, force=True).record


def _recorded(model: nn.Module, exporter: str, folder: Path) -> Record:
    if exporter == RecordExporter.EAGER:
        return record(model, _inputs(), folder / "r.json", exporter=exporter, force=True).record
    return _trace(model, exporter, folder)


Records = Callable[[str, str], Record]
"""Gives the record of a case by an exporter."""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Makes each record once; that of the plain model is the case `PLAIN`."""
    builders = {**CASES, PLAIN: _build}
    return functools.cache(
        lambda name, exporter: _recorded(
            builders[name](), exporter, tmp_path_factory.mktemp("records")
        )
    )


@pytest.mark.parametrize(
    ("name", "exporter"),
    [
        (name, exporter)
        for name in CASES
        for exporter in (*EXPORTERS, RecordExporter.EAGER)
        if exporter != Exporter.TORCHSCRIPT or name not in COMPILED  # it refuses these
    ],
)
def test_the_record_is_that_of_the_plain_model(records: Records, name: str, exporter: str) -> None:
    """However a module is called or rewritten: each node has its module and its call."""
    plain = records(PLAIN, exporter)
    expected = _places(plain.ops)
    assert expected
    assert _places(records(name, exporter).ops) == expected
    assert [op for op in plain.ops if op.overruled is not None] == []


@pytest.mark.parametrize("name", OVERRULED)
def test_the_record_says_so(records: Records, name: str) -> None:
    """Each such node keeps the module of the exporter, and a note counts them."""
    result = records(name, Exporter.DYNAMO)
    overruled = [op for op in result.ops if op.overruled is not None]
    assert overruled
    assert {op.scope_from for op in overruled} == {ScopeOrigin.VALUES}
    assert [op for op in overruled if op.overruled == op.module] == []
    (note,) = (note for note in result.source.why if "wrong" in note)
    assert f"for {len(overruled)} nodes" in note
    modules = [op.module for op in overruled if op.module]
    assert any(module in note for module in modules)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_past_call_is_the_work_of_the_caller(
    records: Records, exporter: str, tmp_path: Path
) -> None:
    """Hooks do not see the call, and exporters do not either: there is nothing to overrule."""
    changed = _trace(_build(PastCall), exporter, tmp_path)
    plain_ops = records(PLAIN, exporter).ops
    expected = [("" if op.module == "second" else op.module) for op in plain_ops]
    assert "" in expected
    assert [op.module for op in changed.ops] == expected
    assert [op for op in changed.ops if op.overruled is not None] == []


def _scaled(_: nn.Module, __: Any, output: torch.Tensor) -> torch.Tensor:
    return output * 1.25


def _waved(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (torch.sin(inputs[0]),)


@pytest.mark.parametrize("exporter", [*EXPORTERS, RecordExporter.EAGER])
def test_what_hooks_do_belongs_to_the_module(exporter: str, tmp_path: Path) -> None:
    """Both before and after its forward."""
    model = _build()
    model.second.register_forward_pre_hook(_waved)
    model.second.register_forward_hook(_scaled)
    if exporter == RecordExporter.EAGER:
        result = record(model, _inputs(), tmp_path / "r.json", exporter=exporter).record
    else:
        result = _trace(model, exporter, tmp_path)
    modules = [op.module for op in result.ops if op.op_type in {"Sin", "aten::sin"}]
    assert modules == ["second"]
    last = [op.op_type for op in result.ops if op.module == "second"][-1]
    assert last in {"Mul", "aten::mul"}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_hook_that_calls_another_module(exporter: str, tmp_path: Path) -> None:
    """The call of the hook's own module goes on after it."""
    model = _build(Twice)
    helper = model.second.query
    model.last.register_forward_pre_hook(lambda _, inputs: (helper(inputs[0]),))
    result = _trace(model, exporter, tmp_path)
    products = [op for op in result.ops if op.op_type in {"Gemm", "MatMul"}]
    assert [(op.module, op.call) for op in products][-2:] == [("second.query", 0), ("last", 0)]
    assert {m.path: m.calls for m in result.modules}["last"] == 1
