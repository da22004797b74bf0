"""A model in which some calls only pass their input on."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from modelexport.tracer.stamping.equal_runs import EqualRun
from modelexport.tracer.stamping.sibling_calls import SiblingCall, flattened


class PassingOn(nn.Module):
    """Stands for a module: returns of each output the input that the next call gets for it.

    It has the attributes of the module, and none of its parameters, buffers and children.

    Args:
        module: The module.
        call: A call of it.
        run: The run that the call is in.
    """

    def __init__(self, module: nn.Module, call: SiblingCall, run: EqualRun) -> None:
        super().__init__()
        self.__dict__["_module"] = module  # not as a child
        self.__dict__["_spec"] = call.output_spec
        self.__dict__["_results"] = [*_results(call, run)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_module"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Pass the inputs on."""
        leaves, _ = flattened((args, kwargs))
        results = [leaves[index] if index is not None else value for index, value in self._results]
        return pytree.tree_unflatten(results, self._spec)


def _results(call: SiblingCall, run: EqualRun) -> Iterator[tuple[int | None, Any]]:
    """For each output, which input is returned for it, else the value."""
    inputs = {link: k for k, link in reversed([*enumerate(run.links)]) if link is not None}
    any_input = next(iter(inputs.values()))
    for position, (leaf, origin) in enumerate(zip(call.outputs, call.output_origins, strict=True)):
        if not isinstance(leaf, torch.Tensor):
            yield None, leaf
        elif position in inputs:
            yield inputs[position], None
        elif origin is not None and origin[0] == "input":
            yield int(str(origin[1])), None
        else:
            yield any_input, None  # nobody reads it


@contextmanager
def shortened(model: nn.Module, runs: Iterable[EqualRun]) -> Iterator[None]:
    """Let the stamped calls of some runs pass their input on while the body runs."""
    with ExitStack() as stack:
        for run in runs:
            for call in chain(*run.stamped):
                parent_path, _, name = call.path.rpartition(".")
                children = model.get_submodule(parent_path)._modules
                module = children[name]
                assert module is not None
                children[name] = PassingOn(module, call, run)
                stack.callback(children.__setitem__, name, module)
        yield
