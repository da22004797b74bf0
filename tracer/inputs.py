"""Example inputs: from a folder's own tokenizer or processor, or made to fit the signature."""

import inspect
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hierarchy.errors import InputsError, UsageError
from tracer.calling import Inputs

DEFAULT_TEXT = "The quick brown fox jumps over the lazy dog, and nobody minds."
_SECOND_TEXT = "A shorter line."
_BATCH = 2
_LENGTH = 12
_SEED = 20


@dataclass(frozen=True)
class InputRequest:
    """What the user asked of the inputs.

    Attributes:
        text: For the tokenizer; a default sentence otherwise.
        shapes: Shape, and dtype where given, by input name.
    """

    text: str | None = None
    shapes: Mapping[str, tuple[tuple[int, ...], str | None]] = field(default_factory=dict)


def parse_shape(text: str) -> tuple[str, tuple[tuple[int, ...], str | None]]:
    """Read `name=1x8` or `name=1x8:int64`.

    Raises:
        UsageError: The text has another form, or torch has no such dtype.
    """
    name, _, rest = text.partition("=")
    extents, _, dtype = rest.partition(":")
    try:
        shape = tuple(int(extent) for extent in extents.split("x") if rest)
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise UsageError(f"--input-shape {text}: write it as name=1x8 or name=1x8:int64.")
    if dtype and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise UsageError(f"--input-shape {text}: torch has no dtype {dtype}.")
    return name, (shape, dtype or None)


def custom_inputs(model: nn.Module, given: Inputs | None, request: InputRequest) -> Inputs:
    """Inputs for a model that came without a tokenizer: what it came with, the shapes asked for.

    Raises:
        InputsError: There is nothing to go by.
    """
    if not request.shapes:
        raise InputsError(
            f"{type(model).__name__} came without example inputs: let the factory return "
            "(module, inputs), or say --input-shape name=1x8 for each input."
        )
    found: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    return _with_shapes(model, found, request)


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
    if not made and not request.shapes:
        raise InputsError(f"{source}: say --input-shape name=1x8 for each input.")
    return _with_shapes(model, made, request)


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


def _with_shapes(model: nn.Module, made: dict[str, Any], request: InputRequest) -> Inputs:
    """The inputs, those of asked-for shapes made anew."""
    accepted = inspect.signature(model.forward).parameters
    for name, (shape, dtype) in request.shapes.items():
        if name not in accepted:
            known = ", ".join(accepted)
            raise InputsError(f"{type(model).__name__} has no input {name}; it has {known}.")
        before = made.get(name)
        kind = getattr(torch, dtype) if dtype else getattr(before, "dtype", torch.float32)
        made[name] = _filled(shape, kind, before, zlib.crc32(name.encode()))
    return made


def _filled(shape: tuple[int, ...], dtype: torch.dtype, before: object, seed: int) -> torch.Tensor:
    """Random numbers in the range of what was there before."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    if dtype is torch.bool:
        return torch.rand(shape, generator=generator) > 0.5
    low, high = 0, 2
    if isinstance(before, torch.Tensor) and before.numel():
        low, high = int(before.min()), int(before.max()) + 1
    return torch.randint(low, max(high, low + 1), shape, generator=generator).to(dtype)
