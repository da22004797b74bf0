"""Running a model once, eagerly, with observers."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.hierarchy.record import Constant
from modelexport.support.error_texts import first_line
from modelexport.tracer.eager.constants import ConstantCollector
from modelexport.tracer.eager.dispatch import Observer, OperatorCall, OperatorObserver
from modelexport.tracer.eager.failing_module import failing_module
from modelexport.tracer.eager.module_tracker import ModuleTracker, track_modules
from modelexport.tracer.sources.signature import ModelCall


@dataclass(frozen=True)
class ModelRun:
    """What a run of a model showed.

    Attributes:
        modules: The calls of its modules.
        constants: The values that do not depend on the inputs.
        outputs: What it returned, by the names of the outputs.
        custom_operators: The operators that it calls and that exporters do not know by themselves,
            as `library::name`.
    """

    modules: ModuleTracker
    constants: tuple[Constant, ...]
    outputs: Mapping[str, torch.Tensor]
    custom_operators: tuple[str, ...] = ()


def observe_run(
    model: nn.Module,
    call: ModelCall,
    *observers: Observer,
    decompositions: Mapping[Any, Callable[..., Any]] | None = None,
    enter_control_flow: bool = False,
) -> ModelRun:
    """Run a model once, and report every operator call to the observers.

    Args:
        model: The model.
        call: How to call it.
        observers: Each is called after each operator call.
        decompositions: Operators to run a second time, as their decomposition, each with its
            decomposition.
        enter_control_flow: Whether to observe what branches and loops do, all branches included.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    constants = ConstantCollector(model)
    custom: dict[str, None] = {}

    def observe_custom(operator_call: OperatorCall) -> None:
        if (name := operator_call.custom_name) is not None:
            custom[name] = None

    all_observers = (constants.observe, observe_custom, *observers)
    with (
        track_modules(model) as tracker,
        OperatorObserver(
            tracker,
            *all_observers,
            decompositions=decompositions,
            enter_control_flow=enter_control_flow,
        ),
    ):
        outputs = run_model(model, call)
    return ModelRun(tracker, constants.constants(), outputs, tuple(custom))


def run_model(model: nn.Module, call: ModelCall) -> dict[str, torch.Tensor]:
    """Run a model on the tensors of a call.

    Returns:
        The output tensors by the names of the ONNX outputs.

    Raises:
        InputsError: The model cannot run on the inputs; the message has the error's first line and
            names the module in which it happened.
    """
    args, kwargs = call.arguments()
    try:
        with torch.no_grad(), _uncompiled(), call.mode or nullcontext(), call.restored():
            result = model(*args, **kwargs)
    except Exception as error:
        reason = first_line(error, with_type=True)
        if path := failing_module(model, error):
            reason = f"in module {path}: {reason}"
        raise InputsError(f"The model cannot run on these inputs ({reason}).") from error
    return call.named_outputs(result)


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Keep torch from compiling, so that models run as they are written even if parts are compiled.

    torch also compiles for each higher-order operator, and some of these compilations fail.
    """

    def return_function(function: Any = None, **_: Any) -> Any:
        return function if function is not None else lambda decorated: decorated

    is_compiler_loaded = "torch._dynamo" in sys.modules  # loading it takes long
    stance = torch.compiler.set_stance("force_eager") if is_compiler_loaded else nullcontext()
    original, torch.compile = torch.compile, return_function  # type: ignore[assignment]
    try:
        with stance:
            yield
    finally:
        torch.compile = original
