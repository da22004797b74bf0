"""A file as an onnx-graphsurgeon graph whose nodes can be asked for by module."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.annotation.tagged_model import tagged_model, write_claims
from modelexport.rewriter.container.stored_bytes import stored_bytes
from modelexport.rewriter.editing.node_groups import (
    GapError,
    all_nodes,
    inputs_of,
    outputs_of,
    replace_nodes,
)
from modelexport.rewriter.graph.texts import gap_reason
from modelexport.rewriter.matching import Claim
from modelexport.rewriter.selection.module_calls import ModuleCall, match_modules, nodes_of_calls
from modelexport.rewriter.surgery import Surgery

GraphNode = Any
"""An `onnx_graphsurgeon.Node`: graphsurgeon has no types."""

GraphTensor = Any
"""An `onnx_graphsurgeon.Tensor`."""


class ModuleGraph:
    """A file as an `onnx_graphsurgeon.Graph` that knows the module of each node.

    Made by `modelexport.open_graph`. Edit `graph` as graphsurgeon's documentation shows, and call
    `save`. What no edit touched stays as it was: metadata, doc strings, quantisation annotations,
    subgraphs, functions, weights that no node reads. Large weights stay in the file; they are
    read where an edit asks for their `values`.

    Functions that folding made are nodes here. A node keeps its module when its operator, inputs
    or attributes are changed; new nodes have none until `place` gives them one.

    Args:
        file: The file, opened.

    Attributes:
        graph: The `onnx_graphsurgeon.Graph`.

    Raises:
        SurgeryError: onnx-graphsurgeon cannot read the file.
    """

    def __init__(self, file: PlacedFile) -> None:
        self._file = file
        model = tagged_model(file)
        self._surgery = Surgery(
            model, payload=partial(stored_bytes, file.container), label=str(file.path)
        )
        self.graph: Any = self._surgery.graph
        objects = dict(self._surgery.located_nodes(model))
        self._numbers = {
            id(objects[key]): number
            for number, key in enumerate(file.graph.keys)
            if key in objects  # graphsurgeon does not read lists of graphs
        }
        self._objects = list(objects.values())  # so that no other object gets one of these ids
        self._placed: dict[int, tuple[GraphNode, ModuleCall]] = {}

    @property
    def modules(self) -> list[str]:
        """The paths of all modules, in the order of the module tree."""
        return [module.path for module in self._file.tree]

    def nodes(self, module: str) -> list[GraphNode]:
        """The nodes of a module and of the modules inside it, as the graph has them now.

        Args:
            module: Its path, its tag or a pattern; `PATH@1` for one call. "" is the root.

        Raises:
            UsageError: There is no such module or call.
        """
        calls = match_modules(self._file, module)
        numbers = nodes_of_calls(self._file, calls)
        return [node for node in all_nodes(self.graph) if self._is_inside(node, calls, numbers)]

    def inputs(self, module: str) -> list[GraphTensor]:
        """What the nodes of a module read from other nodes or from the inputs of the graph.

        Weights are not among them.

        Args:
            module: As for `nodes`.

        Raises:
            UsageError: There is no such module or call.
        """
        return inputs_of(self.nodes(module))

    def outputs(self, module: str) -> list[GraphTensor]:
        """What the nodes of a module compute for other nodes or for the outputs of the graph.

        Args:
            module: As for `nodes`.

        Raises:
            UsageError: There is no such module or call.
        """
        return outputs_of(self.nodes(module), self.graph)

    def module_of(self, node: GraphNode) -> str | None:
        """The path of the module of a node; None for a node without one."""
        if id(node) in self._placed:
            return self._placed[id(node)][1].path
        number = self._numbers.get(id(node))
        return None if number is None else self._file.modules[number]

    def place(self, node: GraphNode, module: str) -> None:
        """Say in which module a node runs: `save` writes it as its tag.

        Args:
            node: A node that was added, or one that shall have another module.
            module: Path or tag of the module; `PATH@1` for one call.

        Raises:
            UsageError: There is no such module, or the pattern matches several.
        """
        calls = match_modules(self._file, module)
        if len(calls) != 1:
            raise UsageError(f"{module!r} matches {len(calls)} modules: a node runs in one.")
        self._placed[id(node)] = node, calls[0]

    def replace(
        self,
        module: str,
        op: str,
        *,
        name: str | None = None,
        domain: str | None = None,
        attrs: Mapping[str, object] | None = None,
    ) -> GraphNode:
        """Replace the nodes of a module by one node, of a plugin for example.

        It reads the inputs of the module and computes its outputs. Weights are no inputs: append
        those that it needs to its `inputs`.

        Args:
            module: As for `nodes`.
            op: Operator of the new node.
            name: Its name; that of the module by default.
            domain: Its operator domain; that of ONNX by default.
            attrs: Its attributes.

        Returns:
            The new node, placed in the module.

        Raises:
            UsageError: There is no such module, or its nodes cannot become one node.
        """
        calls = match_modules(self._file, module)
        nodes = self.nodes(module)
        if not nodes or {id(n) for n in nodes} - {id(n) for n in self.graph.nodes}:
            raise UsageError(
                f"{module}: no nodes to replace, or some are inside a branch, a loop or a function."
            )
        try:
            new = replace_nodes(
                self.graph, nodes, op=op, name=name or module, domain=domain, attrs=attrs or {}
            )
        except GapError as error:
            reason = gap_reason(map(_name, error.nodes))
            raise UsageError(f"{module} cannot become one node: {reason}") from error
        ancestor = self._file.tree.common_ancestor(call.path for call in calls)
        self._placed[id(new)] = new, calls[0] if len(calls) == 1 else ModuleCall(ancestor)
        return new

    def model(self) -> onnx.ModelProto:
        """The edited model, tags of placed nodes included; large weights are left in the file."""
        model = self._surgery.model()
        claims = {
            key: Claim(call.path, "", call=call.call)
            for key, node in (self._surgery.located_nodes(model) if self._placed else ())
            if id(node) in self._placed
            for call in [self._placed[id(node)][1]]
        }
        write_claims(self._file, model, claims)
        return model

    def save(self, target: str | Path, *, force: bool = False) -> None:
        """Write the edited file; weights are copied from the file that was opened.

        Args:
            target: Where it goes. In another folder, external data is copied beside it.
            force: Whether existing files may be overwritten. The opened file itself never is.

        Raises:
            FileProblem: The target exists, is the opened file or cannot be written.
        """
        self._file.container.write_model(target, self.model(), force=force)

    def _is_inside(self, node: GraphNode, calls: list[ModuleCall], numbers: set[int]) -> bool:
        if id(node) not in self._placed:
            return self._numbers.get(id(node)) in numbers
        placed = self._placed[id(node)][1]
        return any(
            is_within(placed.path, call.path) and (call.call is None or call.call == placed.call)
            for call in calls
        )


def _name(node: GraphNode) -> str:
    return f"{node.name or 'a node without a name'} ({node.op})"
