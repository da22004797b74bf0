"""Equal layers with inputs and outputs of their own, and equal layers without weights."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree
from transformers import DynamicCache

from modelexport.tracer.model_preparation import prepared
from modelexport.tracer.sources.signature import bind_inputs
from modelexport.tracer.sources.weightless import on_fake_tensors
from modelexport.tracer.stamping.equal_runs import equal_runs
from modelexport.tracer.stamping.layer_nodes import StampingError
from modelexport.tracer.stamping.short_model import shortened
from modelexport.tracer.stamping.sibling_calls import flattened
from modelexport.tracer.stamping.sibling_observer import observe_siblings
from modelexport.tracer.stamping.verification import verify_structure
from tests.helpers.stacks import (
    DEPTH,
    CachingStack,
    CollectingStack,
    PassingStack,
    Stack,
    assert_same,
    random_inputs,
    stamped_note,
    traced,
)


@pytest.mark.parametrize("build", [CollectingStack, CachingStack, PassingStack])
def test_layers_with_inputs_and_outputs_of_the_model(
    tmp_path: Path, build: Callable[[], nn.Module]
) -> None:
    """The copies have the inputs and outputs of their own layers, under their names, in order."""
    torch.manual_seed(0)
    model = build().eval()
    plain = traced(model, tmp_path / "plain.onnx", "torchscript", stamp=False)
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert f"layers.2 to layers.{DEPTH - 2}" in stamped_note(stamped)
    assert_same(plain, stamped)


def test_layers_that_read_an_input_in_turns_are_exported(tmp_path: Path) -> None:
    """Two layers read one state, so the inputs of a copy do not follow from its number."""
    torch.manual_seed(0)
    model = CachingStack().eval()
    model.layers[DEPTH // 2]._number = DEPTH // 2 - 1
    stamped = traced(model, tmp_path / "stamped.onnx", "torchscript", stamp=True)
    assert not stamped_note(stamped)


def test_a_model_without_weights_has_the_same_structure(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = Stack(depth=8).eval()
    results = [
        traced(model, tmp_path / f"{stamp}.onnx", "dynamo", stamp=stamp) for stamp in (False, True)
    ]
    assert "layers.2 to layers.6" in stamped_note(results[1])
    plain, stamped = (onnx.load(r.onnx_path, load_external_data=False).graph for r in results)
    weights = [
        {(tensor.name, tuple(tensor.dims), tensor.data_type) for tensor in graph.initializer}
        for graph in (plain, stamped)
    ]
    assert weights[0] == weights[1]
    ops = [Counter((op.op_type, op.module, op.call) for op in r.record.ops) for r in results]
    assert ops[0] == ops[1]
    assert not results[1].has_values


def test_a_cache_is_one_argument_also_when_torch_could_take_it_apart() -> None:
    """What other layers put there is no argument of a layer.

    An earlier export registers the caches of transformers that it finds, so this one is new.
    """

    class RegisteredCache(DynamicCache):
        pass

    pytree.register_pytree_node(RegisteredCache, lambda c: ([c.layers], None), lambda *_: None)
    try:
        cache, x = RegisteredCache(), torch.ones(2)
        leaves, _ = flattened(((x,), {"cache": cache}))
    finally:
        pytree._deregister_pytree_node(RegisteredCache)
    assert len(leaves) == 2
    assert leaves[0] is x
    assert leaves[1] is cache


class CountedStack(Stack):
    """Does something for each layer that has run."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        context, calls = x.cos(), []
        handles = [
            layer.inner.register_forward_hook(lambda *_: calls.append(1)) for layer in self.layers
        ]
        for layer in self.layers:
            x, _ = layer(x, context)
        for handle in handles:
            handle.remove()
        for _ in calls:
            x = x + 1
        return self.head(x)


def test_without_weights_what_runs_elsewhere_must_not_depend_on_the_layers() -> None:
    with torch.device("meta"):
        models = [Stack().eval(), CountedStack().eval()]
    errors = []
    for model in models:
        with prepared(model) as mode:
            call = on_fake_tensors(bind_inputs(model, random_inputs()), mode)
            _, siblings = observe_siblings(model, call)
            assert siblings is not None
            runs = equal_runs(siblings.calls)
            assert len(runs) == 1
            with shortened(model, runs):
                try:
                    verify_structure(model, call, siblings, runs)
                except StampingError as error:
                    errors.append(str(error))
    assert errors == ["without some of its layers, the model does something else elsewhere"]
