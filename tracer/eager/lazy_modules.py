"""Lazy modules of torch: they get the shapes of their parameters when they run first."""

from itertools import chain

from torch import nn
from torch.nn.parameter import is_lazy

from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.sources.signature import Inputs, bind_inputs


def initialise_lazy_modules(model: nn.Module, example_inputs: Inputs) -> None:
    """Run a model with lazy modules once, so that all its parameters have shapes.

    Args:
        model: Any module. One without lazy modules is left alone.
        example_inputs: Inputs to call it with.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    if not any(map(is_lazy, chain(model.parameters(), model.buffers()))):
        return
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        run_model(model, bind_inputs(model, example_inputs))
    finally:
        for module, flag in training:
            module.training = flag
