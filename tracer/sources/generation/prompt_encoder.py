"""The part of a decoder that only the prompt needs: what reads its image or its sound.

Which modules that are is seen, not known: they run when the prompt is read, and in no later step.
The encoder is the model up to the last of their calls. The decoder reads what that call returned.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from modelexport.hierarchy.choices import PartRole
from modelexport.tracer.sources.containers import take_apart
from modelexport.tracer.sources.generated_inputs import modalities
from modelexport.tracer.sources.generation.captured_calls import Values
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.replaced_forward import replaced_forward

_TOLERANCE = 1e-4
"""Maximum distance of logits that are the same, relative and absolute."""

Forward = Callable[..., Any]


Calls = tuple[tuple[nn.Module, Any], ...]
"""Calls of modules with what they returned, in the order in which they ended."""


@dataclass(frozen=True)
class PromptEncoder:
    """How the run that reads the prompt is divided.

    Attributes:
        signals: The arguments that only this run gets: an image or a sound, and what describes it.
        others: Its other arguments.
        calls: The calls of the modules that only this run needs.
        later_calls: The calls after them of modules that only run there.
        name: What the result of the last call is called among the inputs of the decoder.
    """

    signals: Values
    others: Values
    calls: Calls
    later_calls: Calls
    name: str

    @property
    def features(self) -> Any:
        """What the decoder reads: a tensor, or a list of them."""
        return _features(self.calls[-1][1])

    def encode(self, original: Forward, signals: Mapping[str, Any]) -> dict[str, Any]:
        """Run the model, and keep what the encoder returns. The rest of the run gets constants.

        So exporters see that nothing of the rest is needed. The run is not ended early, because
        torch.export does not allow it.

        Args:
            original: The forward of the model.
            signals: The tensors among `signals`, by name.

        Returns:
            The features by name.
        """
        last, constant = self.calls[-1]
        remaining = sum(module is last for module, _ in self.calls)
        encoded: list[Any] = []

        def keep(_: nn.Module, __: Any, result: Any) -> Any:
            encoded.append(result)
            return _copied(constant) if len(encoded) == remaining else result

        hook = last.register_forward_hook(keep)
        try:
            with _returning(self.later_calls):
                original(**_with_new_caches(self.others), **{**self.signals, **signals})
        finally:
            hook.remove()
        return {self.name: _features(encoded[remaining - 1])}

    def decode(self, original: Forward, features: Any, /, **others: Any) -> Any:
        """Run the model on features, in place of the modules of the encoder.

        Args:
            original: The forward of the model.
            features: What the last call of the encoder returns.
            others: The arguments that are no signals.
        """
        *earlier, (last, result) = self.calls
        tensors = iter([features] if isinstance(features, torch.Tensor) else features)
        with _returning([*earlier, (last, take_apart(result).rebuild(tensors))]):
            return original(**others, **self.signals)


def _with_new_caches(arguments: Values) -> Values:
    """Arguments with a copy of those that hold no tensors: an empty cache fills."""
    return {
        name: value if take_apart(value).named else copy.deepcopy(value)
        for name, value in arguments.items()
    }


def _copied(result: Any) -> Any:
    """What a module returned in a container of its own: a model may change what it gets."""
    tensors = take_apart(result)
    return tensors.rebuild(iter([tensor for _, tensor in tensors.named]))


def _features(result: Any) -> Any:
    """The tensors in what a module returned: one, or a list."""
    tensors = [tensor for _, tensor in take_apart(result).named]
    return tensors[0] if len(tensors) == 1 else tensors


@contextmanager
def _returning(calls: Iterable[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Let each call of modules return what is given for it while the body runs."""
    by_module: dict[nn.Module, list[Any]] = {}
    for module, result in calls:
        by_module.setdefault(module, []).append(result)

    def forward_of(results: list[Any]) -> Forward:
        remaining = iter(results)
        return lambda *_, **__: _copied(next(remaining))

    with ExitStack() as stack:
        for module, results in by_module.items():
            stack.enter_context(replaced_forward(module, forward_of(results)))
        yield


def find_prompt_encoder(model: nn.Module, first: Values, step: Values) -> PromptEncoder | None:
    """What only the prompt needs; None where each step does as much, or it cannot be cut out.

    Args:
        model: The model.
        first: The arguments of the run that reads the prompt.
        step: Those of a later run.
    """
    signals = {name: value for name, value in first.items() if name not in step}
    others = {name: value for name, value in first.items() if name in step}
    if not any(_is_signal(value) for value in signals.values()):
        return None
    calls, later_calls = _divided_calls(model, first, _modules_of_calls(model, step))
    if not calls:
        return None
    kinds = [kind for kind in modalities(model) if kind != "text"]
    name = f"{kinds[0] if kinds else PartRole.ENCODER}_features"
    encoder = PromptEncoder(signals, others, calls, later_calls, name)
    return encoder if _computes_the_same(model, encoder) else None


def _is_signal(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def _modules_of_calls(model: nn.Module, arguments: Values) -> set[nn.Module]:
    """The modules that are called in a run."""
    modules: set[nn.Module] = set()
    _run(model, arguments, lambda module, _, __: modules.add(module))
    return modules


def _divided_calls(
    model: nn.Module, first: Values, in_steps: set[nn.Module]
) -> tuple[Calls, Calls]:
    """The outermost calls of modules that no step needs, and the outermost calls after them.

    Args:
        model: The model.
        first: The arguments of the run that reads the prompt.
        in_steps: The modules that later runs call.
    """
    order: list[tuple[nn.Module, tuple[nn.Module, ...]]] = []
    _run(model, first, lambda module, around, _: order.append((module, around)))
    inner = [
        number
        for number, (module, around) in enumerate(order)
        if module not in in_steps and in_steps.issuperset(around)
    ]
    if not inner:
        return (), ()
    entered = {outer for number in inner for outer in order[number][1]}
    before = {module for module, _ in order[: inner[-1] + 1]}
    kept: dict[int, Any] = {}
    numbers = iter(range(len(order)))

    def keep(module: nn.Module, around: tuple[nn.Module, ...], result: Any) -> None:
        number = next(numbers)
        is_later = module not in before | entered and entered.issuperset(around)
        if number in inner or (number > inner[-1] and is_later):
            kept[number] = module, _copied(result)

    _run(model, first, keep)
    return (
        tuple(call for number, call in kept.items() if number <= inner[-1]),
        tuple(call for number, call in kept.items() if number > inner[-1]),
    )


def _run(
    model: nn.Module,
    arguments: Values,
    after: Callable[[nn.Module, tuple[nn.Module, ...], Any], object],
) -> None:
    """Run a model, and report the end of each call: the module, those around it, the result."""
    around: list[nn.Module] = []

    def leave(module: nn.Module, _: Any, result: Any) -> None:
        around.pop()
        after(module, tuple(around), result)

    with ExitStack() as stack, evaluation_mode(model), torch.no_grad():
        for module in model.modules():
            stack.callback(
                module.register_forward_pre_hook(lambda module, _: around.append(module)).remove
            )
            stack.callback(module.register_forward_hook(leave).remove)
        model(**copy.deepcopy(arguments))


def _computes_the_same(model: nn.Module, encoder: PromptEncoder) -> bool:
    """Whether encoder and decoder, one after the other, compute what the model does.

    They do so on another signal, so that nothing of the first one may be kept in the decoder.
    """
    signals = {n: v.flip(-1) / 2 if _is_signal(v) else v for n, v in encoder.signals.items()}
    with evaluation_mode(model), torch.no_grad():
        expected = model(**copy.deepcopy(encoder.others), **signals)
        try:
            features = encoder.encode(model.forward, signals)[encoder.name]
            divided = encoder.decode(model.forward, features, **copy.deepcopy(encoder.others))
        except Exception:  # noqa: BLE001 - a model that cannot be divided fails in any way
            return False
    pairs = zip(take_apart(expected).named, take_apart(divided).named, strict=False)
    return all(
        torch.allclose(a, b, rtol=_TOLERANCE, atol=_TOLERANCE)
        for (_, a), (_, b) in pairs
        if a.is_floating_point()
    )
