"""Running the generation of a model, and keeping the arguments of each call.

What a step takes (tokens, masks, positions, caches) is what transformers' own loop gives to the
model: the loop is the library's, and what a model changes of it are its own methods.
"""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from modelexport.errors import InputsError
from modelexport.support.error_texts import first_line
from modelexport.tracer.sources.containers import take_apart
from modelexport.tracer.sources.model_state import evaluation_mode

STEPS = 2
"""Steps that are kept after the first run; the second shows which extents grow."""

_LAST_LOGITS_ONLY = "logits_to_keep"
"""The parameter by which generation asks for the logits of the last token alone."""

Values = dict[str, Any]


@dataclass
class GenerationCalls:
    """The arguments of each call while a model generates, by the names of the parameters.

    Attributes:
        encoder: Those of the encoder; empty for a model that has none.
        encoder_result: What the encoder returned; None for a model that has none.
        runs: Those of the model itself: the first run reads the prompt, each later one a token.
        decoder_names: The parameters of the decoder that get a tensor of a run as it is, by the
            path of that tensor among the arguments.
        inputs: What was generated from.
    """

    encoder: Values = field(default_factory=dict)
    encoder_result: Any = None
    runs: list[Values] = field(default_factory=list)
    decoder_names: dict[tuple[str, ...], str] = field(default_factory=dict)
    inputs: Values = field(default_factory=dict)

    def prompt_run(self) -> Values:
        """The arguments of a run that reads the whole prompt, with its image or its sound.

        Generation may encode these first, and give the model the results in their place. They are
        given as they were here, so that nothing of the model is left out.
        """
        first, step = self.runs[0], self.runs[1]
        text = _text_inputs()
        arguments = {n: v for n, v in first.items() if n in step or n in self.inputs}
        others = {n: v for n, v in self.inputs.items() if n not in first and n not in text}
        if not self.encoder and others:
            return {**arguments, **others}
        return first


def can_generate(model: nn.Module) -> bool:
    """Whether a model has transformers' loop of generation."""
    return bool(getattr(model, "can_generate", bool)())


def has_encoder(model: nn.Module) -> bool:
    """Whether a model has an encoder, and a decoder that reads what the encoder returns."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))


def capture_generation(model: nn.Module, inputs: Mapping[str, Any]) -> GenerationCalls:
    """Generate some tokens, and keep the arguments of each call.

    Args:
        model: A model that can generate.
        inputs: Inputs of its forward; those of the decoder are the beginning of the text.

    Raises:
        InputsError: It cannot generate from these inputs.
    """
    problem: Exception | None = None
    for caches in _empty_caches(model):
        calls = GenerationCalls(inputs=dict(inputs))
        try:
            _generate(model, {**copy.deepcopy(dict(inputs)), **caches}, calls)
        except Exception as error:  # noqa: BLE001 - models fail in any way
            problem = problem or error
            continue
        if len(calls.runs) > STEPS:
            return calls
    reason = "it calls its forward too seldom" if problem is None else first_line(problem)
    raise InputsError(
        f"{type(model).__name__} cannot generate text from these inputs, so its cache is unknown "
        f"({reason}). {_own_loop(model)}Let a factory return the module and its inputs, the cache "
        "among them."
    ) from problem


def _own_loop(model: nn.Module) -> str:
    """A sentence about a model that puts a loop of its own around generation; empty for others."""
    from transformers import GenerationMixin  # noqa: PLC0415 - heavy

    if getattr(type(model), "generate", None) is GenerationMixin.generate:
        return ""
    return (
        "Its class has a `generate` of its own, which may generate with a module inside it: that "
        "module can be traced by itself. "
    )


def _empty_caches(model: nn.Module) -> Iterator[Values]:
    """Empty caches to begin with, as arguments: one that keeps all tokens; else the model's own."""
    from transformers import DynamicCache, EncoderDecoderCache  # noqa: PLC0415 - heavy

    cache = DynamicCache()
    if has_encoder(model):
        cache = EncoderDecoderCache(cache, DynamicCache())
    yield {"past_key_values": cache}
    yield {}


def _generate(model: nn.Module, inputs: Values, calls: GenerationCalls) -> None:
    """Generate by transformers' own loop, also where a model puts another one around it."""
    from transformers import GenerationMixin  # noqa: PLC0415 - heavy
    from transformers.utils import logging  # noqa: PLC0415 - heavy

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with evaluation_mode(model), torch.no_grad(), _captured(model, calls):
            GenerationMixin.generate(model, **inputs, generation_config=_settings(model))
    finally:
        logging.set_verbosity(verbosity)


def _settings(model: nn.Module) -> Any:
    """The model's own settings of generation, for a few of the most likely tokens."""
    settings = copy.deepcopy(model.generation_config)
    values: Values = {
        "max_new_tokens": STEPS + 1,
        "min_new_tokens": STEPS + 1,
        "max_length": None,
        "do_sample": False,
        "num_beams": 1,
        "use_cache": True,
        "return_dict_in_generate": False,
    }
    if getattr(settings, "decoder_start_token_id", None) is None:
        values["decoder_start_token_id"] = getattr(settings, "bos_token_id", None) or 0
    for name, value in values.items():
        setattr(settings, name, value)
    return settings


@contextmanager
def _captured(model: nn.Module, calls: GenerationCalls) -> Iterator[None]:
    """Keep the arguments of each call of a model, its encoder and its decoder, in the body."""
    paths: dict[int, tuple[str, ...]] = {}

    def keep_run(arguments: Values) -> None:
        arguments.pop(_LAST_LOGITS_ONLY, None)
        paths.clear()
        paths.update((id(tensor), path) for path, tensor in named_tensors(arguments).items())
        calls.runs.append(copy.deepcopy(arguments))

    def keep_encoder(arguments: Values) -> None:
        calls.encoder = calls.encoder or copy.deepcopy(arguments)

    def keep_encoder_result(result: Any) -> None:
        calls.encoder_result = result if calls.encoder_result is None else calls.encoder_result

    def keep_names(arguments: Values) -> None:
        for name, value in arguments.items():
            if (path := paths.get(id(value))) is not None:
                calls.decoder_names.setdefault(path, name)

    with ExitStack() as stack:
        stack.enter_context(_watched(model, keep_run))
        if has_encoder(model):
            encoder, decoder = model.get_encoder(), model.get_decoder()  # type: ignore[operator]
            stack.enter_context(_watched(encoder, keep_encoder, keep_encoder_result))
            stack.enter_context(_watched(decoder, keep_names))
        yield


def _text_inputs() -> list[str]:
    """The names of tokens and their mask."""
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - heavy

    names: list[str] = PreTrainedTokenizerBase.model_input_names
    return names


def named_tensors(arguments: Mapping[str, Any]) -> dict[tuple[str, ...], torch.Tensor]:
    """The tensors among arguments, by the paths that lead to them."""
    pairs = (take_apart(value, (name,)).named for name, value in arguments.items())
    return {path: tensor for named in pairs for path, tensor in named}


@contextmanager
def _watched(
    module: nn.Module,
    before: Callable[[Values], None],
    after: Callable[[Any], None] = lambda _: None,
) -> Iterator[None]:
    """Report the arguments and the result of each call of a module's forward, in the body.

    Args:
        module: The module. Its instance gets a forward of its own for that time.
        before: Gets the arguments that are not None by name.
        after: Gets the result.
    """
    original = module.forward
    signature = inspect.signature(original)

    @functools.wraps(original)
    def forward(*args: Any, **kwargs: Any) -> Any:
        before(_by_name(signature.bind(*args, **kwargs)))
        result = original(*args, **kwargs)
        after(result)
        return result

    had_own_forward = "forward" in vars(module)
    module.forward = forward
    try:
        yield
    finally:
        if had_own_forward:
            module.forward = original
        else:
            del module.forward


def _by_name(bound: inspect.BoundArguments) -> Values:
    """Arguments by the names of their parameters, without those that are None."""
    values: Values = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        values.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
    return {name: value for name, value in values.items() if value is not None}
