"""Scopes that stand for a further call of a module: `relu_1` beside `relu`.

Exporters that name nodes by scope put a number after the name of a module that is called again.
A module may have such a name of its own. What tells them apart:

- parameters are named after the module itself, whichever call reads them;
- the children of a Sequential have numbers as names, so `1_1` is the second call of `1`;
- a further call reads the weights of the first, and another module reads others;
- calls are counted from 1: without `relu_1`, `relu_2` is a module, and `relu_1_1` is a call of a
  module that is itself called `relu_1`;
- a further call does the same kind of work.

If none of these rules decides, the scope is in doubt.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import onnx

from modelexport.hierarchy.graph_paths import NodeKey, walk_graphs
from modelexport.rewriter.graph.graph_view import ContractedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import upwards

_NUMBERED = re.compile(r"(.+)_([1-9]\d*)")
_NO_WEIGHTS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL})
"""Types of shapes, indices and flags, which are shared by modules that have nothing in common."""


@dataclass
class _Scope:
    """What the nodes of a scope do.

    Attributes:
        op_types: The operators of the nodes at and below it.
        weights: The weights that these read.
        own_weights: Those that the nodes at the scope itself read.
    """

    op_types: set[str] = field(default_factory=set)
    weights: set[int] = field(default_factory=set)
    own_weights: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class MergedCalls:
    """The paths of nodes, with the further calls of a module under its path.

    Attributes:
        paths: The module path of each node.
        in_doubt: Scopes that may be calls or modules of their own.
    """

    paths: dict[NodeKey, str]
    in_doubt: tuple[str, ...]


def merge_calls(
    paths: Mapping[NodeKey, str],
    model: onnx.ModelProto,
    graph: ModelGraph,
    owners: Collection[str],
    *,
    merge_in_doubt: bool,
) -> MergedCalls:
    """Give the nodes of a further call the path of the module that is called.

    Args:
        paths: The scope of each node, as a path.
        model: The model.
        graph: Its nodes.
        owners: Module paths in the names of parameters.
        merge_in_doubt: Whether a scope counts as a call where nothing decides.
    """
    merger = _Merger(paths, model, graph, owners, merge_in_doubt=merge_in_doubt)
    merged = {key: merger.module(path) for key, path in paths.items()}
    by_weights = merger.paths_of_weights()
    merged |= {key: path for key, path in by_weights.items() if _is_numbered(paths[key], path)}
    return MergedCalls(merged, tuple(sorted(merger.in_doubt)))


def _is_numbered(scope: str, path: str) -> bool:
    """Whether a scope is a path with a number after its last name."""
    match = _NUMBERED.fullmatch(scope)
    return match is not None and match[1] == path


class _Merger:
    """Decides about the scopes of one file; each is decided once.

    Attributes:
        in_doubt: Scopes about which nothing decided.
    """

    def __init__(
        self,
        paths: Mapping[NodeKey, str],
        model: onnx.ModelProto,
        graph: ModelGraph,
        owners: Collection[str],
        *,
        merge_in_doubt: bool,
    ) -> None:
        self._merge_in_doubt = merge_in_doubt
        self._graph, self._paths = graph, paths
        self._owners = {above for path in owners for above in upwards(path)}
        self._view = ContractedGraph(graph.indexed, {})
        self._weights = _weight_values(model, graph)
        self._scopes: dict[str, _Scope] = {}
        self._modules = {"": ""}
        self.in_doubt: set[str] = set()
        for number, key in enumerate(graph.keys):
            if key in paths:
                self._add(number, paths[key])

    def _add(self, number: int, path: str) -> None:
        weights = {value for value in self._view.inputs(number) if value in self._weights}
        for above in upwards(path):
            scope = self._scopes.setdefault(above, _Scope())
            scope.op_types.add(self._graph.nodes[number].op_type)
            scope.weights |= weights
            if above == path:
                scope.own_weights |= weights

    def module(self, scope: str) -> str:
        """The path of the module of a scope."""
        if scope not in self._modules:
            parent, _, name = scope.rpartition(".")
            called = self._called(scope)
            above = self.module(parent)
            own_name = name if called is None else self.module(called).rpartition(".")[2]
            self._modules[scope] = f"{above}.{own_name}" if above else own_name
        return self._modules[scope]

    def _called(self, scope: str) -> str | None:
        """The scope of the first call, if a scope is a further call; None if it is a module."""
        match = _NUMBERED.fullmatch(scope)
        if match is None or scope in self._owners:
            return None
        base = match[1]
        if base.rpartition(".")[2].isdigit() and (base in self._scopes or base in self._owners):
            return base
        if base not in self._scopes:
            return base if self._reads_parameters_of(scope, base) else None
        return base if self._is_call(scope, base, int(match[2])) else None

    def _reads_parameters_of(self, scope: str, base: str) -> bool:
        names = (self._weights[value] for value in self._scopes[scope].weights)
        return any(name.startswith(f"{base}.") for name in names)

    def _is_call(self, scope: str, base: str, number: int) -> bool:
        first, further = self._scopes[base], self._scopes[scope]
        if first.weights & further.weights:
            return True
        if (first.weights and further.weights) or first.own_weights or further.own_weights:
            return False
        counted = all(f"{base}_{earlier}" in self._scopes for earlier in range(1, number))
        called_again = f"{scope}_1" in self._scopes
        if not counted or called_again or not first.op_types & further.op_types:
            return False
        self.in_doubt.add(scope)
        return self._merge_in_doubt

    def paths_of_weights(self) -> dict[NodeKey, str]:
        """The module that the names of a node's parameters tell, if it is one."""
        paths = {}
        for number, key in enumerate(self._graph.keys):
            if key in self._paths:
                values = (v for v in self._view.inputs(number) if v in self._weights)
                modules = {self._weights[v].rpartition(".")[0] for v in values} - {""}
                if len(modules) == 1 and modules <= self._owners:
                    paths[key] = modules.pop()
        return paths


def _weight_values(model: onnx.ModelProto, graph: ModelGraph) -> dict[int, str]:
    """The initializers that hold numbers to compute with, and their names."""
    values = {}
    for place in walk_graphs(model):
        if isinstance(place.graph, onnx.GraphProto):
            for tensor in place.graph.initializer:
                if tensor.data_type not in _NO_WEIGHTS:
                    values[graph.indexed.value_of(place.path, tensor.name)] = tensor.name
    return values
