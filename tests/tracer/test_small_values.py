"""Small values in branches and loops: inputs, parameters and neighbours tell what they cannot."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Op
from modelexport.tracer import trace

WIDTH = 4
CLASSES = (1, 2, 3, 10, 16)
"""Numbers of classes of models, so that their heads compute from 1 to 16 numbers a row."""


class Block(nn.Module):
    """A normalisation, a linear layer and work of its own, on values of a few elements."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.tanh(self.fc(self.norm(x)))


class Gate(nn.Module):
    """A branch of its own, on a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scale = Block(), nn.Parameter(torch.tensor(1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.cond(x.mean() > 0, self.inner, lambda t: t * self.scale, (x,))
        return y


class Exits(nn.Module):
    """A head before a branch; in the branch a module and another head."""

    def __init__(self, middle: nn.Module, classes: int) -> None:
        super().__init__()
        self.first, self.middle = Block(), middle
        self.early, self.head = nn.Linear(WIDTH, classes), nn.Linear(WIDTH, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        early = self.early(h)
        y: torch.Tensor = torch.cond(
            torch.softmax(early, -1).max() > 0.99,
            lambda _, e: e.clone(),
            lambda t, _: self.head(self.middle(t)),
            (h, early),
        )
        return y


class Several(nn.Module):
    """Models side by side that differ in the number of classes, on one input."""

    def __init__(self, middle: Callable[[], nn.Module], classes: tuple[int, ...]) -> None:
        super().__init__()
        self.exits = nn.ModuleList(Exits(middle(), count) for count in classes)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [model(x) for model in self.exits]


def _inside(model: nn.Module, inputs: tuple[torch.Tensor, ...], folder: Path) -> list[Op]:
    """The recorded ops in subgraphs."""
    result = trace(model.eval(), inputs, folder / "m.onnx", exporter=Exporter.DYNAMO).record
    return [op for op in result.ops if op.graph != MAIN]


def _of_type(ops: list[Op], op_type: str) -> list[str | None]:
    return [op.module for op in ops if op.op_type == op_type]


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("middle", [Block, Gate])
def test_each_node_in_a_branch_has_its_module(
    middle: Callable[[], nn.Module], rows: int, tmp_path: Path
) -> None:
    """However few numbers it computes; the exporter gives equal scales of norms one initializer."""
    torch.manual_seed(10)
    ops = _inside(Several(middle, CLASSES), (torch.randn(rows, WIDTH),), tmp_path)
    branches = _by_outermost_node(ops)
    assert len(branches) == len(CLASSES)
    for number, branch in enumerate(branches):
        of_model = f"exits.{number}"
        inner = f"{of_model}.middle.inner" if middle is Gate else f"{of_model}.middle"
        linear = [f"{inner}.fc", f"{of_model}.head"]
        assert _of_type(branch, "Gemm") == (linear[::-1] if middle is Gate else linear)
        assert _of_type(branch, "LayerNormalization") == [f"{inner}.norm"]
        assert _of_type(branch, "Tanh") == _of_type(branch, "Add") == [inner]
        assert _of_type(branch, "Identity") == [of_model]
        if middle is Gate:
            for op_type in ("ReduceMean", "Greater", "If", "Mul"):
                assert _of_type(branch, op_type) == [f"{of_model}.middle"]
    assert [op for op in ops if op.module is None] == []


def _by_outermost_node(ops: list[Op]) -> list[list[Op]]:
    """The ops of the subgraphs of each node of the main graph, in the order of these nodes."""
    groups: dict[str, list[Op]] = {}
    for op in ops:
        groups.setdefault(op.graph.partition(".")[0], []).append(op)
    return list(groups.values())


class Tied(nn.Module):
    """Two modules with one weight, each in a branch, on an input that neither branch can have."""

    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.table, self.one, self.two = (
            nn.Embedding(3, WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, WIDTH, bias=False),
        )
        if tied:
            self.two.weight = self.one.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        def few(x: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(self.table(x)))

        def many(x: torch.Tensor) -> torch.Tensor:
            return self.two(self.one(x[:, None].expand(-1, WIDTH).float()))

        y: torch.Tensor = torch.cond(ids.max() < 3, few, many, (ids,))
        return y


@pytest.mark.parametrize("tied", [False, True])
def test_a_parameter_tells_where_no_value_is_known(tied: bool, tmp_path: Path) -> None:
    """A branch that cannot run on the inputs: a parameter of two modules tells nothing."""
    torch.manual_seed(3)
    ops = _inside(Tied(tied=tied), (torch.tensor([1, 7, 2]),), tmp_path)
    unknown = [op for op in ops if not any(op.values)]
    branch = [op for op in ops if op.graph == unknown[0].graph]
    assert _of_type(branch, "Gather") == ["table"]
    products = [op.module for op in branch if op.op_type in {"MatMul", "Gemm"}]
    assert len(products) == 2
    assert products == (["one", None] if tied else ["one", "two"])  # the first has a bias, too


class Borrows(nn.Module):
    """Reads a child's weight without calling the child, in a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.cond(
            x.sum() > 100, lambda t: t.sin(), lambda t: t @ self.owner.weight.T, (x,)
        )
        return y


def test_a_borrowed_weight_is_no_call(tmp_path: Path) -> None:
    """The module that reads it computes, not the one that owns it."""
    torch.manual_seed(3)
    ops = _inside(Borrows(), (torch.randn(1, WIDTH),), tmp_path)
    assert _of_type(ops, "MatMul") == [""]


class Repeats(nn.Module):
    """A loop over a module of a few numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.step = Block()

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        loop = torch._higher_order_ops.while_loop
        _, y = loop(
            lambda count, _: count < times,
            lambda count, value: (count + 1, self.step(value)),
            (torch.zeros((), dtype=torch.int64), x),
        )
        result: torch.Tensor = y
        return result


class Scans(nn.Module):
    """A recurrence of a few numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def step(state: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            new = self.cell(state) + row
            return new, new * 2

        scan = torch._higher_order_ops.scan
        last, every = scan(step, torch.full((1, WIDTH), 0.5), x)
        result: torch.Tensor = every + last
        return result


def test_bodies_of_loops(tmp_path: Path) -> None:
    """Of `while_loop` and of `scan`."""
    torch.manual_seed(7)
    ops = _inside(Repeats(), (torch.randn(1, WIDTH), torch.tensor(2)), tmp_path)
    assert _of_type(ops, "Gemm") == ["step.fc"]
    assert _of_type(ops, "LayerNormalization") == ["step.norm"]
    assert _of_type(ops, "Tanh") == ["step"]
    (tmp_path / "scan").mkdir()
    ops = _inside(Scans(), (torch.randn(3, 1, WIDTH),), tmp_path / "scan")
    assert _of_type(ops, "Gemm") == ["cell"]
    assert set(_of_type(ops, "Add")) == {""}
