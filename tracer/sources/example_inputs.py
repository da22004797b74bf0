"""Example inputs of a model: those that came with it, changed where the user wants others."""

import inspect
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.hierarchy.export_config import InputRequest, InputSpec
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.generated.trials import runnable_inputs
from modelexport.tracer.sources.generated_inputs import generate_inputs, modalities
from modelexport.tracer.sources.signature import Inputs
from modelexport.tracer.sources.tokenized_inputs import tokenize


def factory_inputs(model: nn.Module, inputs: Inputs | None, request: InputRequest) -> Inputs:
    """Inputs for a model from a factory.

    Args:
        model: The model.
        inputs: The example inputs that the factory returned; None when it returned none.
        request: Which inputs the user wants.

    Raises:
        InputsError: There are no example inputs, and the user gives no shapes.
    """
    if inputs is not None and not request.inputs:
        return inputs
    named = named_inputs(model, inputs)
    if not named and not any(spec.shape for spec in request.inputs.values()):
        raise InputsError(
            f"{type(model).__name__} came without example inputs: let the factory return "
            "(module, inputs), or give --input-shape name=1x8 for each input."
        )
    return _apply_request(model, named, request)


def folder_inputs(
    source: str, model: nn.Module, request: InputRequest, *, trust_remote_code: bool
) -> Inputs:
    """Inputs for a Hugging Face model: from its own tokenizer, else generated.

    Args:
        source: Folder or hub id.
        model: The model.
        request: Which inputs the user wants.
        trust_remote_code: Let the folder run its own code.

    Raises:
        InputsError: No inputs can be made.
    """
    accepted = set(inspect.signature(model.forward).parameters)
    inputs = generate_inputs(model, accepted)
    if "text" in modalities(model):
        tokenized = tokenize(source, model, request.text, trust_remote_code=trust_remote_code)
        inputs |= {name: value for name, value in tokenized.items() if name in accepted}
    elif request.text is not None:
        raise InputsError(f"{source}: --input-text is for models that read text.")
    if not request.inputs:
        return runnable_inputs(model, inputs)
    requested = _apply_request(model, inputs, request)
    return requested if request.complete else runnable_inputs(model, requested, request.inputs)


def named_inputs(model: nn.Module, inputs: Inputs | None) -> dict[str, Any]:
    """Example inputs by the names of the model's parameters, where they have one each.

    Args:
        model: The model.
        inputs: The inputs as the model is called with them; None for none.

    Raises:
        InputsError: They do not fit the model's forward.
    """
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return dict(inputs)
    args = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    signature = inspect.signature(model.forward)
    try:
        bound = signature.bind(*args)
    except TypeError as error:
        forward = type(model).__name__ + ".forward"
        raise InputsError(f"The example inputs do not fit {forward}: {error}.") from error
    single = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: v for n, v in bound.arguments.items() if signature.parameters[n].kind in single}


def _apply_request(
    model: nn.Module, inputs: dict[str, Any], request: InputRequest
) -> dict[str, Any]:
    """Example inputs with those changed that the user describes.

    Raises:
        InputsError: The user describes an input that the model does not have.
    """
    accepted = inspect.signature(model.forward).parameters
    result = {} if request.complete else dict(inputs)
    for name, spec in request.inputs.items():
        if name not in accepted:
            names = ", ".join(accepted)
            raise InputsError(
                f"{type(model).__name__} has no input {name}; the inputs are {names}."
            )
        result[name] = _make_input(name, spec, inputs.get(name))
    return result


def _make_input(name: str, spec: InputSpec, example: object) -> Any:
    """An input that fits a description.

    Args:
        name: Name of the input.
        spec: The description. What it leaves out is as in the example.
        example: The example input of that name; None when there is none.

    Raises:
        InputsError: There is no shape, or the range does not fit the dtype.
    """
    if spec == InputSpec() and example is not None:
        return example
    tensor = example if isinstance(example, torch.Tensor) else None
    shape = spec.shape or (None if tensor is None else tuple(tensor.shape))
    if shape is None:
        raise InputsError(f"The shape of input {name} is unknown: give it one.")
    dtype = getattr(torch, spec.dtype) if spec.dtype else getattr(tensor, "dtype", torch.float32)
    try:
        return _draw(name, shape, dtype, spec, tensor)
    except RuntimeError as error:  # it does not fit into the memory
        raise InputsError(f"input {name} cannot be made ({first_line(error)}).") from error


def _draw(
    name: str,
    shape: Sequence[int],
    dtype: torch.dtype,
    spec: InputSpec,
    example: torch.Tensor | None,
) -> torch.Tensor:
    """Random numbers, the same for each name.

    Raises:
        InputsError: The range does not fit the dtype.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    if dtype.is_floating_point:
        if spec.range is None:
            return torch.randn(shape, generator=generator).to(dtype)
        low, high = spec.range
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)
    low, high = _integer_range(name, spec, example, dtype)
    return torch.randint(low, high + 1, shape, generator=generator).to(dtype)


def _integer_range(
    name: str, spec: InputSpec, example: torch.Tensor | None, dtype: torch.dtype
) -> tuple[int, int]:
    """The lowest and the highest integer of an input, both included."""
    if spec.range is not None:
        low, high = (int(bound) for bound in spec.range)
        limits = torch.iinfo(dtype)
        if (low, high) != tuple(spec.range) or low < limits.min or high > limits.max:
            raise InputsError(f"The range of input {name} does not fit its dtype, {dtype}.")
        return low, high
    if example is not None and example.numel() and not example.is_floating_point():
        return int(example.min()), int(example.max())
    return 0, 1
