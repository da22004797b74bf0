"""Example inputs: from a folder's own tokenizer or processor, or made to fit the signature."""

import inspect
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.hierarchy.export_config import InputRequest, InputSpec
from modelexport.tracer.sources.signature import Inputs

DEFAULT_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."
_SECOND_TEXT = "A shorter line."
_BATCH = 2
_LENGTH = 12
_SEED = 20


def custom_inputs(model: nn.Module, given: Inputs | None, request: InputRequest) -> Inputs:
    """Inputs for a model that came without a tokenizer: what it came with, as was asked for.

    Raises:
        InputsError: There is nothing to go by.
    """
    if given is not None and not request.inputs:
        return given
    named = _named(model, given)
    if not named and not any(spec.shape for spec in request.inputs.values()):
        raise InputsError(
            f"{type(model).__name__} came without example inputs: let the factory return "
            "(module, inputs), or say --input-shape name=1x8 for each input."
        )
    return _as_asked(model, named, request)


def _named(model: nn.Module, given: Inputs | None) -> dict[str, Any]:
    """Example inputs by the names of the model's parameters, where they have one each."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    args = (given,) if isinstance(given, torch.Tensor) else tuple(given)
    signature = inspect.signature(model.forward)
    try:
        bound = signature.bind(*args)
    except TypeError as error:
        forward = type(model).__name__ + ".forward"
        raise InputsError(f"The example inputs do not fit {forward}: {error}.") from error
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: v for n, v in bound.arguments.items() if signature.parameters[n].kind in plain}


def folder_inputs(
    source: str, model: nn.Module, request: InputRequest, *, trust_remote_code: bool
) -> Inputs:
    """Inputs for a Hugging Face model: by its own tokenizer or processor, else generated."""
    accepted = set(inspect.signature(model.forward).parameters)
    made = _generated(model, accepted)
    if "text" in _modalities(model):
        tokenized = _tokenized(source, request, trust_remote_code=trust_remote_code)
        made |= {name: value for name, value in tokenized.items() if name in accepted}
    elif request.text is not None:
        raise InputsError(f"{source}: --input-text is for models that read text.")
    if not made and not request.inputs:
        raise InputsError(f"{source}: say --input-shape name=1x8 for each input.")
    return _as_asked(model, made, request)


def _modalities(model: nn.Module) -> tuple[str, ...]:
    found = getattr(model, "input_modalities", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _tokenized(
    source: str, request: InputRequest, *, trust_remote_code: bool
) -> dict[str, torch.Tensor]:
    """Two sentences of different length, so that tokens, positions and padding differ."""
    from transformers import AutoTokenizer  # noqa: PLC0415 - heavy, and only some sources need it

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError):
        if request.text is not None:
            raise InputsError(f"{source}: it has no tokenizer to read --input-text.") from None
        return {}
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    texts = [request.text] if request.text is not None else [DEFAULT_TEXT, _SECOND_TEXT]
    encoded = tokenizer(texts, return_tensors="pt", padding=len(texts) > 1)
    return dict(encoded)


def _generated(model: nn.Module, accepted: set[str]) -> dict[str, torch.Tensor]:
    """Inputs from what the model says of itself: its main input, modalities and config."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - see above

    main = getattr(model, "main_input_name", None)
    if main not in accepted:
        return {}
    ids, *_, mask = PreTrainedTokenizerBase.model_input_names
    generator = torch.Generator().manual_seed(_SEED)
    made = {}
    for name in (main, *((ids,) if "text" in _modalities(model) else ())):
        if name == ids:
            made[name] = _tokens(model.config, generator)
            if mask in accepted:
                made[mask] = _mask(made[name])
        elif name in accepted:
            made[name] = _signal(model, generator)
    if getattr(model.config, "is_encoder_decoder", False):
        for name in (ids, mask):
            if (decoder := f"decoder_{name}") in accepted:
                tokens = _tokens(model.config, generator)
                made[decoder] = tokens if name == ids else torch.ones_like(tokens)
    return made


def _tokens(config: Any, generator: torch.Generator) -> torch.Tensor:
    """Distinct tokens, none of the first few, which tokenizers keep for themselves."""
    size = int(config.get_text_config().vocab_size)
    start = min(8, size - 1)
    picks = torch.randperm(size - start, generator=generator)[: _BATCH * _LENGTH] + start
    return picks[torch.arange(_BATCH * _LENGTH) % len(picks)].reshape(_BATCH, _LENGTH)


def _mask(tokens: torch.Tensor) -> torch.Tensor:
    """Everything attended to but the tail of the last row."""
    mask = torch.ones_like(tokens)
    mask[-1, -_LENGTH // 4 :] = 0
    return mask


def _signal(model: nn.Module, generator: torch.Generator) -> torch.Tensor:
    """An image, a spectrogram or a waveform, by the extents that the config gives."""
    config = model.config
    size = _setting(config, "image_size")
    if "image" in _modalities(model) or size is not None:
        height, width = (size, size) if isinstance(size, int) else tuple(size or (64, 64))[:2]
        channels = _setting(config, "num_channels") or 3
        return torch.randn(_BATCH, int(channels), height, width, generator=generator)
    bins = _setting(config, "num_mel_bins")
    if bins is not None:
        frames = 2 * int(_setting(config, "max_source_positions") or 128)
        return torch.randn(_BATCH, int(bins), frames, generator=generator)
    return torch.randn(_BATCH, 16_000, generator=generator)


def _setting(config: Any, name: str) -> Any:
    """A setting of a config or of the first of its parts that has it."""
    if (found := getattr(config, name, None)) is not None:
        return found
    for part in getattr(config, "sub_configs", None) or {}:
        inner = getattr(config, part, None)
        if inner is not None and (found := _setting(inner, name)) is not None:
            return found
    return None


def _as_asked(model: nn.Module, made: dict[str, Any], request: InputRequest) -> Inputs:
    """The inputs, those that something was said about made anew; no others where these are all."""
    accepted = inspect.signature(model.forward).parameters
    found = {} if request.complete else dict(made)
    for name, spec in request.inputs.items():
        if name not in accepted:
            known = ", ".join(accepted)
            raise InputsError(f"{type(model).__name__} has no input {name}; it has {known}.")
        found[name] = _filled(name, spec, made.get(name))
    return found


def _filled(name: str, spec: InputSpec, before: object) -> Any:
    """Random numbers in the range that was asked for, else in that of what was there before."""
    if spec == InputSpec() and before is not None:
        return before
    tensor = before if isinstance(before, torch.Tensor) else None
    shape = spec.shape or (None if tensor is None else tuple(tensor.shape))
    if shape is None:
        raise InputsError(f"Nothing tells the shape of input {name}: give it one.")
    dtype = getattr(torch, spec.dtype) if spec.dtype else getattr(tensor, "dtype", torch.float32)
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    if dtype.is_floating_point:
        if spec.range is None:
            return torch.randn(shape, generator=generator).to(dtype)
        low, high = spec.range
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)
    low, high = _whole_range(name, spec, tensor, dtype)
    return torch.randint(low, high + 1, shape, generator=generator).to(dtype)


def _whole_range(
    name: str, spec: InputSpec, before: torch.Tensor | None, dtype: torch.dtype
) -> tuple[int, int]:
    """The least and the greatest of whole numbers."""
    if spec.range is not None:
        low, high = (int(bound) for bound in spec.range)
        limits = torch.iinfo(dtype)
        if (low, high) != tuple(spec.range) or low < limits.min or high > limits.max:
            raise InputsError(f"The range of input {name} does not fit its dtype, {dtype}.")
        return low, high
    if before is not None and before.numel() and not before.is_floating_point():
        return int(before.min()), int(before.max())
    return 0, 1
