"""The parts of a generating model that are deployed: each is one call of the whole model.

The encoder and the decoder stay where they are in the model: only the forward of the model's
instance is another one, for the time of a trace. So each part has the whole model's module tree.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError, SourceError
from modelexport.hierarchy.choices import PartRole
from modelexport.tracer.sources.caches import is_cache
from modelexport.tracer.sources.containers import Tensors, take_apart
from modelexport.tracer.sources.example_inputs import named_inputs
from modelexport.tracer.sources.generated.signals import with_signal
from modelexport.tracer.sources.generation.captured_calls import (
    STEPS,
    GenerationCalls,
    Values,
    can_generate,
    capture_generation,
    has_encoder,
    named_tensors,
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
    Axes,
    growing_axes,
    larger_inputs,
    merged_steps,
)
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.replaced_forward import replaced_forward
from modelexport.tracer.sources.signature import Inputs, flat_signature, output_tensors

Forward = Callable[..., Any]


@dataclass(frozen=True)
class ModelPart:
    """One call of a model, which becomes a file of its own.

    Attributes:
        role: What the part does.
        inputs: The inputs of the part by name.
        axes: The dynamic axes of its inputs.
        forward: What the model does in this call. It gets the model's own forward, and the inputs
            by name.
    """

    role: PartRole
    inputs: Mapping[str, Any]
    axes: Axes
    forward: Callable[[Forward, Values], Any]

    @contextmanager
    def forward_of(self, model: nn.Module) -> Iterator[None]:
        """Let a model do what this part does, for the time of the body."""
        original = model.forward
        signature = flat_signature(list(self.inputs))

        def forward(*args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
            inputs = signature.bind(*args, **kwargs).arguments
            read = list(named_tensors(inputs).values())  # kept: identities of dead tensors return
            outputs = output_tensors(self.forward(original, inputs))
            passed_on = set(map(id, read))
            return {n: tensor for n, tensor in outputs.items() if id(tensor) not in passed_on}

        forward.__signature__ = signature  # type: ignore[attr-defined]
        with replaced_forward(model, forward):
            yield


@dataclass(frozen=True)
class PastStep:
    """The arguments of a decoder's forward with a cache among them, and their dynamic axes."""

    inputs: Mapping[str, Any]
    axes: Axes = field(default_factory=dict)


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
    with_past = _decoder(
        PartRole.DECODER_WITH_PAST, _step(model, small, large), small.decoder_names
    )
    prompt = find_prompt_encoder(model, small.prompt_run(), small.runs[1])
    if prompt is not None:
        return (*_prompt_parts(model, prompt, large, names), with_past)
    first_run = small.prompt_run()
    first = PastStep(first_run, _axes(first_run, larger_run, names))
    decoders = [_decoder(PartRole.DECODER, first, small.decoder_names), with_past]
    if not small.encoder:
        return tuple(decoders)
    encoder = model.get_encoder()  # type: ignore[operator]
    inputs, constants = _split_constants(small.encoder)
    axes = _axes(inputs, None if large is None else large.encoder, names)
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
    signals, _ = _split_constants(prompt.signals)
    signal_axes = _axes(signals, None if larger is None else larger.signals, names)
    call = PastStep(prompt.others, _axes(prompt.others, larger and larger.others, names))
    decoder = _decoder(PartRole.DECODER, call, {})
    features = {prompt.name: prompt.features}
    feature_axes = _axes(features, larger and {larger.name: larger.features}, names)

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
    axes = _axes(inputs, larger, names, of_caches={**names, TOKENS: PAST_AXIS})
    if larger is not None and tokens > 1:
        for name, axis in token_axes.items():
            axes[name] = {**axes.get(name, {}), axis: TOKEN_AXIS}
    return PastStep(inputs, axes)


def _axes(
    small: Values,
    large: Values | None,
    names: Mapping[int, str],
    of_caches: Mapping[int, str] | None = None,
) -> Axes:
    """The dynamic axes of arguments: those that are longer in the larger example.

    Args:
        small: The arguments.
        large: Those of the larger example; None where there is none.
        names: The names of axes by what they grow by.
        of_caches: The same for tensors of caches.
    """
    if large is None:
        return {}
    axes: Axes = {}
    for name, value in small.items():
        growth = (of_caches or names) if is_cache(value) else names
        shapes, larger = (
            {".".join(path): t.shape for path, t in named_tensors({name: v}).items()}
            for v in (value, large.get(name))
        )
        axes |= growing_axes(shapes, larger, growth)
    return axes


def _decoder(role: PartRole, call: PastStep, names: Mapping[tuple[str, ...], str]) -> ModelPart:
    """A part that calls the model itself; its inputs have the names that the decoder has for them.

    Args:
        role: What the part does.
        call: The arguments of the model.
        names: The names of the decoder's parameters, by the paths of tensors in the arguments.
    """
    inputs: Values = {}
    axes = dict(call.axes)
    builders: dict[str, Callable[[Values], Any]] = {}
    arguments, constants = _split_constants(call.inputs)
    for own, value in arguments.items():
        tensors = take_apart(value, (own,))
        renamed = [names[path] for path, _ in tensors.named if path in names]
        if not renamed or len(renamed) < len(tensors.named) or is_cache(value):
            inputs[own] = value
            builders[own] = _taken(own)
            continue
        for name, (path, tensor) in zip(renamed, tensors.named, strict=True):
            inputs[name] = tensor
            if (dynamic := axes.pop(".".join(path), None)) is not None:
                axes[name] = dynamic
        builders[own] = _rebuilt(tensors, renamed)

    def forward(original: Forward, values: Values) -> Any:
        built = {own: build(values) for own, build in builders.items()}
        return original(**copy.deepcopy(constants), **built)  # an empty cache fills

    return ModelPart(role, inputs, axes, forward)


def _split_constants(arguments: Mapping[str, Any]) -> tuple[Values, Values]:
    """The arguments that hold tensors; and those that hold none, flags and empty caches."""
    inputs = {n: value for n, value in arguments.items() if named_tensors({n: value})}
    return inputs, {n: value for n, value in arguments.items() if n not in inputs}


def _taken(name: str) -> Callable[[Values], Any]:
    """What takes one input as it is."""
    return lambda values: values[name]


def _rebuilt(tensors: Tensors, names: Sequence[str]) -> Callable[[Values], Any]:
    """What builds an argument of the inputs that hold its tensors."""
    return lambda values: tensors.rebuild(iter([values[name] for name in names]))
