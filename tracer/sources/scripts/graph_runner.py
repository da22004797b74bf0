"""Running the graphs of a script in Python, operator by operator."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import torch

from modelexport.errors import InputsError
from modelexport.tracer.sources.scripts.operators import (
    ON_TENSORS,
    ON_VALUES,
    PRIMITIVES,
    TO_NUMBER,
)

_CALL = "modelexport::call"
"""Stands for a call of a method, while torch inlines the calls of functions."""

_NO_GRAD_MODES = "__torch__.torch.autograd.grad_mode."
"""Classes of which a script makes context managers; no values depend on them."""

Node = Any
"""A node of a script's graph, or a block of it: torch has no public types for them."""

Values = dict[str, Any]


class Context:
    """A context manager that a script made, and that changes no value."""


def method_graph(script: torch.jit.ScriptModule, name: str) -> Node:
    """The graph of a method in which functions are inlined, and methods are called."""
    graph = script._c._get_method(name).graph.copy()
    for node in list(_nodes_of(graph)):
        if node.kind() == "prim::CallMethod":
            call = graph.create(_CALL, list(node.inputs()), node.outputsSize())
            call.s_("name", node.s("name"))
            call.insertBefore(node)
            for old, new in zip(node.outputs(), call.outputs(), strict=True):
                new.setType(old.type())
                old.replaceAllUsesWith(new)
            node.destroy()
    torch._C._jit_pass_inline(graph)
    return graph


def has_control_flow(graph: Node) -> bool:
    """Whether a graph has branches or loops."""
    return any(node.kind() in {"prim::If", "prim::Loop"} for node in _nodes_of(graph))


def run_graph(graph: Node, arguments: Sequence[Any]) -> Any:
    """Run a graph.

    Args:
        graph: The graph of a method.
        arguments: The object that the method is of, and the arguments.

    Raises:
        InputsError: The graph has an operator that Python cannot run.
    """
    runner = _GraphRunner(has_control_flow(graph))
    names = [value.debugName() for value in graph.inputs()]
    results = runner.run_block(graph, dict(zip(names, arguments, strict=True)))
    return results[0] if len(results) == 1 else tuple(results)


def _nodes_of(block: Node) -> Iterator[Node]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes_of(inner)


class _GraphRunner:
    """Runs the blocks of a graph.

    Args:
        branches: Whether the graph has branches or loops, which may depend on values.
    """

    def __init__(self, branches: bool) -> None:
        self._branches = branches

    def run_block(self, block: Node, values: Values) -> list[Any]:
        """Run a block, and give what it returns.

        Args:
            block: The block.
            values: The values that are known; those that it computes are added.
        """
        for node in block.nodes():
            results = self._run_node(node, values)
            values |= zip((o.debugName() for o in node.outputs()), results, strict=True)
        return [values[output.debugName()] for output in block.outputs()]

    def _run_node(self, node: Node, values: Values) -> Sequence[Any]:
        namespace, _, name = node.kind().partition("::")
        if namespace == "prim" and name == "Constant":
            kinds = {output.type().kind() for output in node.outputs()}
            return [None if "FunctionType" in kinds else node.output().toIValue()]
        arguments = [values[value.debugName()] for value in node.inputs()]
        match node.kind():
            case "prim::If":
                first, second = node.blocks()
                return self.run_block(first if arguments[0] else second, values)
            case "prim::Loop":
                return self._run_loop(node, arguments, values)
            case "prim::TupleUnpack" | "prim::ListUnpack":
                return arguments[0]  # type: ignore[no-any-return]
            case "prim::Enter" | "prim::Exit":
                return [None] * node.outputsSize()
        if node.hasAttribute("name"):
            result = _on_object(node, *arguments)
        else:
            result = self._compute(node, namespace, name, arguments)
        return [result] if node.outputsSize() == 1 else result or ()

    def _run_loop(self, node: Node, arguments: list[Any], values: Values) -> list[Any]:
        most, goes_on, *carried = arguments
        (block,) = node.blocks()
        names = [value.debugName() for value in block.inputs()]
        index = 0
        while goes_on and index < most:
            values |= zip(names, (index, *carried), strict=True)
            goes_on, *carried = self.run_block(block, values)
            index += 1
        return carried

    def _compute(self, node: Node, namespace: str, name: str, arguments: list[Any]) -> Any:
        of_tensor = any(isinstance(argument, torch.Tensor) for argument in arguments[:1])
        if namespace == "prim":
            if name == "RaiseException":
                raise RuntimeError(arguments[0])
            if name == "CreateObject":
                return _create(node)
            if name in PRIMITIVES:
                return PRIMITIVES[name](*arguments)
            if of_tensor and hasattr(arguments[0], name):
                return getattr(arguments[0], name)  # is_cuda, requires_grad …
        elif namespace == "aten" and name in TO_NUMBER:
            if of_tensor and self._branches and torch._C._get_tracing_state() is not None:
                raise InputsError("a branch or loop of the script may depend on its inputs")
            return TO_NUMBER[name](*arguments)
        elif namespace == "aten" and name in ON_VALUES and not _has_tensor(arguments):
            return ON_VALUES[name](*arguments)
        elif namespace == "aten" and name in ON_TENSORS:
            return ON_TENSORS[name](*arguments)
        if node.schema() == "(no schema)":
            raise InputsError(f"an operator of the script cannot run in Python: {node.kind()}")
        return _call_operator(node.schema(), arguments)


def _has_tensor(arguments: Sequence[Any]) -> bool:
    """Whether an operator computes with tensors, and does not just keep them in a container."""
    return any(isinstance(argument, torch.Tensor) for argument in arguments[:2]) and not isinstance(
        arguments[0], list | dict | str
    )


def _create(node: Node) -> Context:
    name = str(node.output().type())
    if not name.startswith(_NO_GRAD_MODES):
        raise InputsError(f"the script makes an object of the class {name}")
    return Context()


def _on_object(node: Node, subject: Any, *arguments: Any) -> Any:
    """Read or set an attribute of an object, or call one of its methods."""
    name = node.s("name")
    if node.kind() == "prim::GetAttr":
        return getattr(subject, name)
    if node.kind() == "prim::SetAttr":
        return setattr(subject, name, *arguments)
    if isinstance(subject, Context):
        return None
    return subject(*arguments) if name == "forward" else getattr(subject, name)(*arguments)


def _call_operator(schema_text: str, arguments: Sequence[Any]) -> Any:
    """Call an operator of torch with its arguments in the order of its schema."""
    function, is_keyword, names = _operator(schema_text)
    positional = [a for a, keyword in zip(arguments, is_keyword, strict=True) if not keyword]
    keywords = {
        name: argument
        for name, argument, keyword in zip(names, arguments, is_keyword, strict=True)
        if keyword
    }
    return function(*positional, **keywords)


@cache
def _operator(schema_text: str) -> tuple[Any, tuple[bool, ...], tuple[str, ...]]:
    """An operator, and of each of its arguments whether it goes by name, and its name."""
    schema = torch._C.parse_schema(schema_text)
    namespace, _, name = schema.name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), name)
    function = getattr(packet, schema.overload_name or "default")
    arguments = schema.arguments
    return function, tuple(a.kwarg_only for a in arguments), tuple(a.name for a in arguments)
