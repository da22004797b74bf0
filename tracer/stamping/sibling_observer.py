"""Watching what siblings do in an eager run."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from modelexport.support.gc_pause import gc_paused
from modelexport.tracer.eager.dispatch import OperatorCall
from modelexport.tracer.eager.model_run import ModelRun, observe_run
from modelexport.tracer.sources.signature import ModelCall
from modelexport.tracer.stamping.sibling_calls import SiblingCall, flattened
from modelexport.tracer.stamping.siblings import siblings


class OpInSiblings(NamedTuple):
    """An operator call of a run.

    Attributes:
        operator: What was called.
        shapes: The shapes of its results.
        siblings: The siblings in whose calls it happened.
    """

    operator: Any
    shapes: tuple[torch.Size, ...]
    siblings: tuple[str, ...]


@dataclass(frozen=True)
class SiblingRun:
    """What siblings did in a run of a model.

    Attributes:
        groups: The paths of the siblings, by group.
        calls: Their calls, in the order in which they began.
        outputs: The outputs of the model by name.
        ops: All operator calls of the run.
    """

    groups: Sequence[Sequence[str]]
    calls: Sequence[SiblingCall]
    outputs: Mapping[str, torch.Tensor]
    ops: Sequence[OpInSiblings]


class _SiblingObserver:
    """Reports the operator calls of a run to the calls of siblings that make them.

    Args:
        call: The call of the model.
    """

    def __init__(self, call: ModelCall) -> None:
        self._names_of_inputs = {id(tensor): name for name, tensor in call.tensors.items()}
        self.calls: list[SiblingCall] = []
        self.ops: list[OpInSiblings] = []
        self._running: list[SiblingCall] = []
        self._states: set[int] = set()
        self._owners: dict[int, list[str]] = {}
        self._read_elsewhere: set[tuple[str, int]] = set()
        self._not_made: dict[int, torch.Tensor] = {}
        self._makers: dict[int, tuple[torch.Tensor, tuple[SiblingCall, ...]]] = {}

    def observe(self, call: OperatorCall) -> None:
        """Take one operator call into account."""
        running = tuple(self._running)
        shapes = tuple(tensor.shape for tensor in call.outputs)
        self.ops.append(OpInSiblings(call.operator, shapes, tuple(c.path for c in running)))
        self.read(call.inputs)
        self._note_states(call.inputs)
        for sibling in running:
            sibling.add(call)
        for tensor in call.outputs:  # kept alive: a new one could get the id of one that is gone
            self._makers[id(tensor)] = (tensor, running)

    def read(self, tensors: Sequence[torch.Tensor]) -> None:
        """Note who reads what the calls computed that have ended."""
        for tensor in tensors:
            _, makers = self._makers.get(id(tensor), (None, ()))
            for maker in makers:
                if maker not in self._running:
                    siblings = (c for c in self._running if c.group == maker.group)
                    maker.readers.add(next(siblings, None))

    def _note_states(self, tensors: Sequence[torch.Tensor]) -> None:
        """Note which parameters and buffers of siblings are read where these do not run.

        Other tensors that no operator made are kept: a new one could get the id of one that is
        gone, and then siblings with numbers of their own would seem to read the same.
        """
        for tensor in tensors:
            owners = self._owners.get(id(tensor))
            if owners is not None:
                running = {sibling.path for sibling in self._running}
                self._read_elsewhere |= {(o, id(tensor)) for o in owners if o not in running}
            elif id(tensor) not in self._makers and id(tensor) not in self._states:
                self._not_made[id(tensor)] = tensor

    def finish(self, outputs: Mapping[str, torch.Tensor]) -> None:
        """Note which outputs of the model the calls computed.

        Args:
            outputs: The outputs by name.
        """
        for name, tensor in outputs.items():
            _, makers = self._makers.get(id(tensor), (None, ()))
            for maker in makers:
                maker.returns(tensor, name)
        for call in self.calls:
            call.read_elsewhere += [
                origin
                for origin, state in call.constants.items()
                if origin[0] == "state" and (call.path, id(state)) in self._read_elsewhere
            ]

    def enter(
        self, path: str, group: int, module: nn.Module, args: Any, kwargs: Mapping[str, Any]
    ) -> None:
        """A call begins."""
        leaves, spec = flattened((args, dict(kwargs)))
        call = SiblingCall(
            *(path, group, leaves, spec),
            _names_of_inputs=self._names_of_inputs,
            _not_made=self._not_made,
        )
        call.begin(module)
        self.calls.append(call)
        self._running.append(call)

    def leave(self, result: object) -> None:
        """The innermost call ends."""
        self._running.pop().end(result)

    @contextmanager
    def watching(self, model: nn.Module, groups: Sequence[Sequence[str]]) -> Iterator[None]:
        """Hear of the calls of some modules, by group of siblings while the body runs."""
        self._states = {id(state) for state in (*model.parameters(), *model.buffers())}
        with ExitStack() as stack:
            for number, group in enumerate(groups):
                for path in group:
                    module = model.get_submodule(path)
                    for state in (*module.parameters(), *module.buffers()):
                        self._owners.setdefault(id(state), []).append(path)
                    enter = partial(_enter, self, path, number)
                    before = module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
                    after = module.register_forward_hook(partial(_leave, self))
                    stack.callback(before.remove)
                    stack.callback(after.remove)
            yield


def observe_siblings(
    model: nn.Module, call: ModelCall, groups: Sequence[Sequence[str]] | None = None
) -> tuple[ModelRun, SiblingRun | None]:
    """Run a model once, and observe the calls of siblings beside everything else.

    Args:
        model: The model.
        call: How to call it.
        groups: The paths of the siblings, by group; by default, they are looked for.

    Returns:
        The run; and what the siblings did in it, None where there are none.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    groups = siblings(model) if groups is None else groups
    if not groups:
        return observe_run(model, call), None
    observer = _SiblingObserver(call)
    with gc_paused(), observer.watching(model, groups):
        run = observe_run(model, call, observer.observe)
    observer.finish(run.outputs)
    return run, SiblingRun(groups, observer.calls, run.outputs, observer.ops)


def _enter(
    observer: _SiblingObserver, path: str, group: int, module: nn.Module, args: Any, kwargs: Any
) -> None:
    observer.enter(path, group, module, args, kwargs)


def _leave(observer: _SiblingObserver, *call: Any) -> None:
    observer.leave(call[-1])
