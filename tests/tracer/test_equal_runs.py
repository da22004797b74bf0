"""Which layers are equal, as an eager run shows it."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from modelexport.tracer.sources.signature import bind_inputs
from modelexport.tracer.stamping.equal_runs import equal_runs
from modelexport.tracer.stamping.sibling_observer import observe_siblings
from tests.helpers.stacks import DEPTH, WIDTH, CountingStack, Layer, Stack, random_inputs

ODD = DEPTH // 2
"""Number of the layer in the middle. Of the layers before it and behind it, too few are left."""

Edit = Callable[[Stack], object]


class ConstantLayer(Layer):
    """Makes a tensor at each call that no operator makes."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self._number = number

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, factor: float = 1.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x * torch.tensor([self._number] * WIDTH), context, factor)


class TableLayer(ConstantLayer):
    """Has a tensor that is neither a parameter nor a buffer."""

    def __init__(self, number: float) -> None:
        super().__init__(number)
        self.table = torch.full((WIDTH,), number)

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, factor: float = 1.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return Layer.forward(self, x * self.table, context, factor)


def with_layers(make: Callable[[int], nn.Module]) -> Edit:
    def edit(model: Stack) -> None:
        model.layers = nn.ModuleList(map(make, range(DEPTH)))

    return edit


def share_scale(*numbers: int) -> Edit:
    def edit(model: Stack) -> None:
        for number in numbers:
            model.layers[number].scale = model.layers[numbers[0]].scale

    return edit


def share_norm(model: Stack) -> None:
    for layer in model.layers:
        layer.inner[0] = model.layers[0].inner[0]


def share_with_head(model: Stack) -> None:
    model.head = nn.Linear(WIDTH, WIDTH)
    model.head.weight = model.layers[ODD].inner[1].weight


def read_by_head(model: Stack) -> None:
    scale = model.layers[ODD].scale
    model.head.register_forward_hook(lambda *call: call[-1] * scale[:2])


class OutsideLayer(Layer):
    """Reads a parameter of its own that it does not hold."""

    def __init__(self, parameter: nn.Parameter) -> None:
        super().__init__()
        self._parameters_elsewhere = [parameter]

    def forward(
        self, x: torch.Tensor, context: torch.Tensor, factor: float = 1.5
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(x * self._parameters_elsewhere[0], context, factor)


def with_weights_elsewhere(model: Stack) -> None:
    model.scales = nn.ParameterList(torch.ones(WIDTH) for _ in range(DEPTH))
    model.layers = nn.ModuleList(map(OutsideLayer, model.scales))


def scaled(*call: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    x, gate = call[-1]
    return x * 2, gate


def hook(*numbers: int) -> Edit:
    return lambda model: [model.layers[n].register_forward_hook(scaled) for n in numbers]


EQUAL: dict[str, Edit] = {
    "as they are": lambda _: None,
    "an equal constant": with_layers(lambda _: ConstantLayer(0.5)),
    "an equal table": with_layers(lambda _: TableLayer(0.5)),
    "one weight for all": share_scale(*range(DEPTH)),
    "a hook on each": hook(*range(DEPTH)),
}
DIFFERENT: dict[str, Edit] = {
    "other numbers": lambda model: setattr(model, "forward", CountingStack.forward.__get__(model)),
    "another constant": with_layers(lambda number: ConstantLayer(0.5 + (number == ODD) / 1e6)),
    "another table": with_layers(lambda number: TableLayer(0.5 + (number == ODD) / 1e6)),
    "another operator": with_layers(lambda n: Layer(torch.sin if n == ODD else torch.tanh)),
    "another epsilon": lambda model: setattr(model.layers[ODD].inner[0], "eps", 2e-5),
    "too few": lambda model: model.layers.__delitem__(slice(7, None)),
    "one module for all": share_norm,
    "two layers share a weight": share_scale(ODD - 1, ODD),
    "the first and the last share a weight": share_scale(1, DEPTH - 1),
    "a weight of a layer is another module's": share_with_head,
    "a weight of a layer is read elsewhere": read_by_head,
    "a hook on one": hook(ODD),
    "equal weights that are held elsewhere": with_weights_elsewhere,
}


def left_out(edit: Edit) -> int:
    """Number of layers that need not be exported."""
    torch.manual_seed(0)
    model = Stack().eval()
    edit(model)
    _, siblings = observe_siblings(model, bind_inputs(model, random_inputs()))
    runs = [] if siblings is None else equal_runs(siblings.calls)
    return sum(len(block) for run in runs for block in run.stamped)


@pytest.mark.parametrize("edit", EQUAL.values(), ids=EQUAL)
def test_equal_layers_need_not_be_exported(edit: Edit) -> None:
    """All but the first two and the last."""
    assert left_out(edit) == DEPTH - 3


@pytest.mark.parametrize("edit", DIFFERENT.values(), ids=DIFFERENT)
def test_layers_that_differ_in_anything_are_exported(edit: Edit) -> None:
    assert left_out(edit) == 0
