"""The parts of a generating model that are deployed: each is one call of the whole model."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError, SourceError
from modelexport.hierarchy.choices import PartRole
from modelexport.tracer.sources.example_inputs import named_inputs
from modelexport.tracer.sources.generation.call_parts import (
    Forward,
    ModelPart,
    PastStep,
    decoder_part,
    dynamic_axes,
    split_constants,
)
from modelexport.tracer.sources.generation.captured_calls import (
    STEPS,
    GenerationCalls,
    Values,
    can_generate,
    capture_generation,
    has_encoder,
)
from modelexport.tracer.sources.generation.prompt_encoder import (
    PromptEncoder,
    find_prompt_encoder,
)
from modelexport.tracer.sources.generation.step_inputs import (
    ENCODER_AXIS,
    ENCODER_TOKENS,
    PAST_AXIS,
    TOKEN_AXIS,
    TOKENS,
    TOTAL_AXIS,
    larger_inputs,
    merged_steps,
)
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.signals import with_signal
from modelexport.tracer.sources.signature import Inputs


def step_with_past(model: nn.Module, inputs: Inputs) -> PastStep:
    """How a decoder is called to read further tokens, and the cache of those before.

    Args:
        model: A decoder that can generate.
        inputs: Example inputs, as without a cache.

    Raises:
        SourceError: The model does not generate, or has an encoder of its own.
        InputsError: It cannot generate from these inputs.
    """
    _check_generates(model)
    if has_encoder(model):
        raise SourceError(
            f"{type(model).__name__} has an encoder and a decoder, which are files of their own: "
            "give --parts, and a folder in place of OUT.onnx."
        )
    return _step(model, *_two_captures(model, named_inputs(model, inputs)))


def model_parts(model: nn.Module, inputs: Inputs) -> tuple[ModelPart, ...]:
    """The parts of a generating model, in the order in which they run.

    Args:
        model: The model.
        inputs: Example inputs, as for the model as a whole.

    Raises:
        SourceError: The model does not generate.
        InputsError: It cannot generate from these inputs.
    """
    _check_generates(model)
    named = named_inputs(model, inputs)
    if not has_encoder(model):
        named = with_signal(model, named)
    small, large = _two_captures(model, named)
    names = {TOKENS: TOKEN_AXIS, ENCODER_TOKENS: ENCODER_AXIS}
    larger_run = None if large is None else large.prompt_run()
    with_past = decoder_part(
        PartRole.DECODER_WITH_PAST, _step(model, small, large), small.decoder_names
    )
    prompt = find_prompt_encoder(model, small.prompt_run(), small.runs[1])
    if prompt is not None:
        return (*_prompt_parts(model, prompt, large, names), with_past)
    first_run = small.prompt_run()
    first = PastStep(first_run, dynamic_axes(first_run, larger_run, names))
    decoders = [decoder_part(PartRole.DECODER, first, small.decoder_names), with_past]
    if not small.encoder:
        return tuple(decoders)
    encoder = model.get_encoder()  # type: ignore[operator]
    inputs, constants = split_constants(small.encoder)
    axes = dynamic_axes(inputs, None if large is None else large.encoder, names)
    return (
        ModelPart(PartRole.ENCODER, inputs, axes, lambda _, values: encoder(**constants, **values)),
        *decoders,
    )


def _prompt_parts(
    model: nn.Module, prompt: PromptEncoder, large: GenerationCalls | None, names: Mapping[int, str]
) -> tuple[ModelPart, ModelPart]:
    """The encoder of what only the prompt has, and the decoder that reads what it returns."""
    larger = None
    if large is not None:
        larger = find_prompt_encoder(model, large.prompt_run(), large.runs[1])
    signals, _ = split_constants(prompt.signals)
    signal_axes = dynamic_axes(signals, None if larger is None else larger.signals, names)
    call = PastStep(
        prompt.others, dynamic_axes(prompt.others, None if larger is None else larger.others, names)
    )
    decoder = decoder_part(PartRole.DECODER, call, {})
    features = {prompt.name: prompt.features}
    larger_features = None if larger is None else {larger.name: larger.features}
    feature_axes = dynamic_axes(features, larger_features, names)

    def decode(original: Forward, values: Values) -> Any:
        others = {name: value for name, value in values.items() if name != prompt.name}
        return decoder.forward(partial(prompt.decode, original, values[prompt.name]), others)

    encoder = ModelPart(PartRole.ENCODER, signals, signal_axes, prompt.encode)
    inputs = {**features, **decoder.inputs}
    return encoder, ModelPart(PartRole.DECODER, inputs, {**feature_axes, **decoder.axes}, decode)


def run_part(model: nn.Module, part: ModelPart) -> dict[str, torch.Tensor]:
    """Run a part on its inputs, of which copies are given.

    Returns:
        Its outputs by name.
    """
    with evaluation_mode(model), torch.no_grad(), part.forward_of(model):
        outputs: dict[str, torch.Tensor] = model(**copy.deepcopy(dict(part.inputs)))
    return outputs


def _check_generates(model: nn.Module) -> None:
    if not can_generate(model):
        raise SourceError(
            f"{type(model).__name__} does not generate text, so it has no cache. Choose another "
            "head with --task, for example text-generation, or leave out --with-past and --parts."
        )


def _two_captures(
    model: nn.Module, inputs: Mapping[str, Any]
) -> tuple[GenerationCalls, GenerationCalls | None]:
    """The calls of a generation, and those on larger inputs if the model runs on such."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    tokens = PreTrainedTokenizerBase.model_input_names[0]
    decoder_prefix = "decoder_" if has_encoder(model) else None
    if decoder_prefix is not None:  # the decoder needs no mask: all of its tokens count
        inputs = {
            name: value
            for name, value in inputs.items()
            if name == decoder_prefix + tokens or not name.startswith(decoder_prefix)
        }
    small = capture_generation(model, inputs)
    for candidate in larger_inputs(inputs, tokens, decoder_prefix):
        try:
            return small, capture_generation(model, candidate)
        except InputsError:
            continue  # of a fixed size
    return small, None


def _step(model: nn.Module, small: GenerationCalls, large: GenerationCalls | None) -> PastStep:
    """A step that reads several tokens at once; one token, if the model reads only one."""
    step = _step_of(small, large, STEPS)
    try:
        with evaluation_mode(model), torch.no_grad():
            model(**copy.deepcopy(dict(step.inputs)))
    except Exception:  # noqa: BLE001 - models fail in any way
        return _step_of(small, large, 1)
    return step


def _step_of(small: GenerationCalls, large: GenerationCalls | None, tokens: int) -> PastStep:
    """A step that reads this many tokens."""
    first, *steps = small.runs
    inputs, token_axes = merged_steps(first, steps[:tokens])
    larger: Values | None = None
    if large is not None:
        larger, _ = merged_steps(large.runs[0], large.runs[1 : tokens + 1])
    names = {TOKENS: TOTAL_AXIS, ENCODER_TOKENS: ENCODER_AXIS}
    axes = dynamic_axes(inputs, larger, names, of_caches={**names, TOKENS: PAST_AXIS})
    if larger is not None and tokens > 1:
        for name, axis in token_axes.items():
            axes[name] = {**axes.get(name, {}), axis: TOKEN_AXIS}
    return PastStep(inputs, axes)
