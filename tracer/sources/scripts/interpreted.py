"""Plain modules in place of those of a script."""

import inspect
import re
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only

from modelexport.tracer.sources.scripts.graph_runner import method_graph, run_graph

_PYTHON = "__torch__."
"""Prefix of the names of classes that were Python's."""

_MANGLED = "___torch_mangle_"
"""Prefix of a part that torch adds to the name of a class with several types."""


_FORWARD = "forward"
_OTHER_FORWARD = re.compile(r"forward(\d+|__\w+)")
"""Names of a forward's other signatures, and of further calls that torch.jit.trace saw."""

Memory = tuple[int, torch.Size, tuple[int, ...], torch.dtype]
"""Where a tensor is, and how it is laid out: a script gives each reader a tensor of its own."""

Shared = dict[Memory, nn.Parameter]
"""The parameters that have been met: modules may share them."""


class InterpretedModule(nn.Module):
    """A module that runs the graphs of a script.

    Its class has the name of the one that was compiled. Parameters and buffers are the script's.

    Args:
        script: The script.
        shared: The parameters that have been met; new ones are added.
    """

    def __init__(self, script: torch.jit.ScriptModule, shared: Shared) -> None:
        super().__init__()
        for name, tensor in script.named_parameters(recurse=False):
            parameter = shared.setdefault(_memory(tensor), _as_parameter(tensor))
            self.register_parameter(name, parameter)
        for name, buffer in script.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        for name, child in script.named_children():
            self.add_module(name, _interpreted(child, shared))
        self.training = script.training
        state = vars(self)  # what follows is no child
        state["_script"], state["_shared"] = script, shared
        state["_graphs"], state["_forward"] = {}, _FORWARD

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            script = vars(self).get("_script")
            if script is None:
                raise
            if name in script._c._method_names():
                is_call = _OTHER_FORWARD.fullmatch(name)
                return partial(self._call_as if is_call else self._run, name)
            value = tree_map_only(torch.Tensor, self._known_parameter, getattr(script, name))
            vars(self)[name] = value  # while an exporter traces, shapes are no numbers
            return value

    def _known_parameter(self, tensor: torch.Tensor) -> torch.Tensor:
        """The parameter that a tensor in an attribute is, or the tensor."""
        return self._shared.get(_memory(tensor), tensor) if tensor.numel() else tensor

    def _call_as(self, name: str, *arguments: Any) -> Any:
        """Call the module, so that hooks see it, with another of its forwards."""
        vars(self)["_forward"] = name
        return self(*arguments)

    def _run(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        script, graphs = self._script, self._graphs
        if method not in graphs:
            graphs[method] = method_graph(script, method)
        bound = _signature(script, method).bind(self, *arguments, **keywords)
        bound.apply_defaults()
        return run_graph(graphs[method], bound.args)


def interpret(script: nn.Module) -> nn.Module:
    """A tree of plain modules that computes what a script does. Any other module as it is."""
    return _interpreted(script, {}) if isinstance(script, torch.jit.ScriptModule) else script


def _interpreted(script: nn.Module, shared: Shared) -> nn.Module:
    assert isinstance(script, torch.jit.ScriptModule)  # its children are scripts too
    names = [n for n in str(script._c._type()).split(".") if not n.startswith(_MANGLED)]
    python_module, _, class_name = ".".join(names).removeprefix(_PYTHON).rpartition(".")

    def forward(self: InterpretedModule, *arguments: Any, **keywords: Any) -> Any:
        method, vars(self)["_forward"] = self._forward, _FORWARD
        return self._run(method, *arguments, **keywords)

    forward.__signature__ = _signature(script, _FORWARD)  # type: ignore[attr-defined]
    members = {"forward": forward, "__module__": python_module}
    module: nn.Module = type(class_name, (InterpretedModule,), members)(script, shared)
    return module


def _memory(tensor: torch.Tensor) -> Memory:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _as_parameter(tensor: torch.Tensor) -> nn.Parameter:
    if isinstance(tensor, nn.Parameter):
        return tensor
    return nn.Parameter(tensor, tensor.requires_grad)


def _signature(script: torch.jit.ScriptModule, method: str) -> inspect.Signature:
    """The parameters of a method of a script, `self` among them."""
    if method not in script._c._method_names():
        return inspect.signature(lambda self: None)  # noqa: ARG005 - it has no forward
    parameters = [
        inspect.Parameter(
            argument.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=argument.default_value
            if argument.has_default_value()
            else inspect.Parameter.empty,
        )
        for argument in script._c._get_method(method).schema.arguments
    ]
    return inspect.Signature(parameters)
